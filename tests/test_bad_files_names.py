"""Names in a file are its author's, and go nowhere but into messages; group 51."""

import numpy as np
import onnx_models as build
from bad_files import place, run
from commands import command

HOSTILE = ("endmodule", "a\nb", "`include \"x\"", "$(touch pwned)", "; touch pwned", "../../pwned",
           "//", "é☃", "x" * (1 << 20), "\x1b[31m", "'; drop", "begin", "%s%n", "\\", "-Mdir")


def test_names_reach_no_file_of_ours(tmp_path):
    """Names of nodes, tensors and the graph are the author's; what is written is not."""
    net = build.Net(producer="$(touch pwned)")
    x = net.input("rows `include", [3, "; touch pwned", 2])
    given = net.weight(1, 2, 2), net.weight(1, 2, 2)
    for k, name in enumerate(HOSTILE):
        x = net.op("RNN", x, *given, outputs=[f"{name}{k}"], name=name, hidden_size=2)
        x = net.op("Squeeze", x, net.ints(1), outputs=[f"{name}{k}s"], name=name)
    net.output(net.op("Identity", x, outputs=["//result"]))
    folder = place(tmp_path, net, np.random.default_rng(1).normal(size=(4, 3, 2)))
    run(tmp_path, "quantise", "model.onnx", "--calibration", "c.npy", "--out", "out", status=0)
    assert command("generate", "out", "--lanes", "2", cwd=folder).status == 0
    rtl, = (folder / "out" / "rtl").glob("*.v")
    text = rtl.read_text()
    assert text.isascii() and not any(name in text for name in HOSTILE if name not in (
        "begin", "endmodule", "//", "; touch pwned", "\\"))
    assert "pwned" not in text and "`include" not in text
    assert {path.name for path in tmp_path.iterdir()} == {"place", "tmp"}
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "c.npy", "out"}

"""All proofs.

    python -m tests.prove
"""
import sys, tempfile
from pathlib import Path
from tests.proofs import PROOFS
from tests.proofs.yosys import check
import shutil
for p in PROOFS:
    if len(sys.argv) > 1 and sys.argv[1] not in p.name: continue
    d = Path("build/prove")/p.name.replace(" ","_").replace(",", ""); shutil.rmtree(d, ignore_errors=True); d.mkdir(parents=True)
    v = check(p, d)
    print(p.name, v.passed, v.proved, v.length, v.missed, v.refuted, v.mutants, round(v.seconds,1))
    for s in v.survivors: print("   ", s)
    if not v.proved: print(v.trace[-1500:])

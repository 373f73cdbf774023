"""Names from files and people as identifiers that Verilog, C, Python and file systems all take."""

import re
import unicodedata

__all__ = ["identifier", "unique_identifiers"]

MAX_LENGTH = 40

# Words of Verilog-2005 and SystemVerilog that a short lower-case name could hit.
_KEYWORDS = frozenset("""
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
checker class clocking cmos config const constraint context continue cover covergroup coverpoint
cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually
expect export extends extern final first_match for force foreach forever fork forkjoin function
generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies
import incdir include initial inout input inside instance int integer interconnect interface
intersect join join_any join_none large let liblist library local localparam logic longint
macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive
priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect
pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg reject_on
release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually
s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran
tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until
until_with untyped use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while
wildcard wire with within wor xnor xor
auto char double float goto long register short sizeof switch volatile
def del elif except finally from is lambda nonlocal pass raise try yield async await in as
con prn aux nul
""".split())


def identifier(text: str, fallback: str = "network") -> str:
    """``text`` as [a-z][a-z0-9_]*, at most 40 characters, no keyword.

    Parameters
    ----------
    text : str
        Anything at all.
    fallback : str
        What stands for a text without a usable letter; it goes in front of one that starts with a
        digit.
    """
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode("ascii")
    word = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    if not word:
        word = fallback
    elif not word[0].isalpha():
        word = f"{fallback}_{word}"
    word = word[:MAX_LENGTH].rstrip("_")
    return f"{word}_" if word in _KEYWORDS else word


def unique_identifiers(texts: list, fallback: str = "layer") -> list:
    """``identifier`` of each, with a number behind those that would be alike."""
    names = []
    for text in texts:
        base = name = identifier(text, fallback)
        count = 2
        while name in names:
            suffix = f"_{count}"
            name = base[:MAX_LENGTH - len(suffix)] + suffix
            count += 1
        names.append(name)
    return names

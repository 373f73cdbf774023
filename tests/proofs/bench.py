"""What a proof is made of: a module of the engine, what drives it, and what must hold."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from amaranth import *
from amaranth.back import rtlil
from amaranth.hdl import Fragment, ShapeCastable
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib import wiring

__all__ = ["Bench", "Proof", "aged"]


class Bench:
    """A module as it is, with claims about it beside it.

    Inputs of the module that nothing drives are free, and so is its reset: it may come in any
    cycle. Whatever is added to ``m.d.sync`` is reset together with the module.

    Parameters
    ----------
    component : wiring.Component
        The module under proof.

    Members
    -------
    m : Module
        For the model beside the module.
    dut : wiring.Component
    fragment : Fragment
        The module, elaborated.
    """

    def __init__(self, component):
        self.m, self.dut = Module(), component
        self._locals, self._calls = {}, {}
        self.m.submodules.dut = self.fragment = fragment = self._elaborate(component)
        self._inputs = [Value.cast(value) for _, member, value
                        in component.signature.flatten(component) if member.flow.name == "In"]
        self._assumed, self._claimed, self._invariant, self.covers = [], [], [], {}
        self.claims = []
        self._memories, self._probes = list(_memories(fragment)), []

    def _elaborate(self, component) -> Fragment:
        """Elaborate as always, and keep what the methods of each component called by name.

        Signals themselves do not have these names: of several made in one line only one is told.
        """
        def look(frame, event, _):
            owner = frame.f_locals.get("self")
            if event == "return" and isinstance(owner, wiring.Component):
                self._locals.setdefault(type(owner).__name__, {}).update(frame.f_locals)
            if event == "return" and frame.f_globals["__name__"].partition(".")[0] == package:
                self._calls.setdefault(frame.f_code.co_name, []).append(dict(frame.f_locals))

        package = type(component).__module__.partition(".")[0]
        before = sys.getprofile()
        sys.setprofile(look)
        try:
            return Fragment.get(component, None)
        finally:
            sys.setprofile(before)

    def inner(self, name: str, of: str | None = None):
        """What a method of the module, or of one of class ``of`` in it, calls by that name."""
        return self._locals[of or type(self.dut).__name__][name]

    def calls(self, method: str, name: str) -> list:
        """What a function of the module's own package calls by that name, call by call."""
        return [found[name] for found in self._calls[method]]

    def memory_word(self, address, number: int = 0) -> Signal:
        """What a memory of the module holds at an address, by a read port of our own."""
        memory = self._memories[number]
        word = Signal(len(memory._read_ports[0]._data))
        self._probes.append((memory, address, word))
        return word

    def memory_output(self, number: int = 0) -> Value:
        """The register behind the read port of a memory of the module."""
        memory = self._memories[number]
        return memory._read_ports[0]._data

    def free(self, name: str, shape=1) -> Signal:
        """An input that may have any value in each cycle."""
        if isinstance(shape, ShapeCastable):
            raise TypeError(f"Shape must be a plain one, not {shape!r}")
        signal = Signal(shape, name=name)
        self._inputs.append(signal)
        return signal

    def assume(self, condition):
        """What the surroundings keep to, in each cycle."""
        self._assumed.append(Value.cast(condition).bool())

    def claim(self, name: str, condition):
        """What is to be shown: a condition on what the module's ports show."""
        self.claims.append(name)
        self._claimed.append(Value.cast(condition).bool())

    def invariant(self, condition):
        """What holds inside the module, and carries the induction; shown with the claims."""
        self._invariant.append(Value.cast(condition).bool())

    def cover(self, name: str, condition):
        """What must be possible, or the claims say nothing."""
        self.covers[name] = Value.cast(condition).bool()

    def rtlil(self, *, inside: bool = True) -> str:
        """The bench with outputs ``legal``, ``claims``, ``sound`` and one for each cover.

        Parameters
        ----------
        inside : bool
            With invariants; without them nothing reaches into the module but what claims and
            covers look at. To be called once.
        """
        outputs = {"legal": Cat(self._assumed).all(), "claims": Cat(self._claimed).all()}
        outputs |= {f"cover{k}": cover for k, cover in enumerate(self.covers.values())}
        if inside:
            outputs["sound"] = Cat(*self._claimed, *self._invariant).all()
            outputs |= {f"claim{k}": claim for k, claim in enumerate(self._claimed)}
            outputs |= {f"invariant{k}": held for k, held in enumerate(self._invariant)}
            for memory, address, word in self._probes:
                at = Signal(len(memory._read_ports[0]._addr))
                self.m.d.comb += at.eq(address)
                memory.read_port(domain="comb", addr=at, data=word, en=Const(1),
                                 transparent_for=())
        ports = list(self._inputs)
        for name, value in outputs.items():
            port = Signal(name=name)
            self.m.d.comb += port.eq(value)
            ports.append(port)
        return rtlil.convert(self.m, name="bench", ports=ports, emit_src=False)


def _memories(fragment):
    """The memories in a fragment, at any depth."""
    if isinstance(fragment, MemoryInstance):
        yield fragment
    for inner, *_ in fragment.subfragments:
        yield from _memories(inner)


def aged(m: Module, cycles: int) -> Signal:
    """High once so many cycles have passed since power-up or reset: a pipeline is filled."""
    age, old = Signal(range(cycles + 1)), Signal()
    m.d.comb += old.eq(age == cycles)
    m.d.sync += age.eq(age + ~old)
    return old


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof, and what it takes.

    Parameters
    ----------
    name : str
        Module and configuration.
    says : str
        The claims in words, for the table.
    build : callable without arguments
        Makes the ``Bench``.
    depth : int
        Steps that the induction may look back.
    reach : int
        Steps from power-up within which covers and mutants' failures are looked for.
    start : int
        First length of the induction that is tried.
    mutants : int
        Single faults that are tried.
    quick : bool
        Part of the test suite.
    parts : tuple of str
        Submodules in which faults are tried; empty: in all of the module.
    """

    name: str
    says: str
    build: Callable[[], Bench]
    depth: int
    reach: int
    start: int = 1
    mutants: int = 12
    quick: bool = False
    parts: tuple = ()

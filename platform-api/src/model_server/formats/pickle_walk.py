"""Find every name a pickle brings in, without running it.

The walk follows the pickle machine's stack and memo with plain data in place of objects, so names that are assembled
through the memo are resolved too. Whatever cannot be followed is refused: an unreadable pickle is not a safe one.
"""

import pickletools
from dataclasses import dataclass
from typing import IO, Any

from model_server.formats.pickle_arrays import ArrayWrapper, skip_array
from model_server.refusals import Refused

_MARK = object()
_PUSHED_CONSTANTS = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
        "FLOAT",
        "BINFLOAT",
    ]
)
_NAMED_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(frozen=True)
class Name:
    """A global the pickle asks for."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Made:
    """An object which the pickle would build by calling a global; `arguments` are what is known of them."""

    by: Name
    arguments: Any


# the oldest protocols make instances by these: they call the constructor of the base they are given
_RECONSTRUCTORS = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
_PLAIN_BASES = frozenset({"object", "dict", "list", "tuple", "set", "frozenset", "str", "int", "float"})


def _of_a_plain_type(arguments: Any) -> bool:
    match arguments:
        case (_, Name(module=("builtins" | "__builtin__"), name=base), _):
            return base in _PLAIN_BASES
    return False


class Unknown:
    """A value whose content does not matter for the names."""


class PickleWalk:
    """One walk over one pickle stream, from its current position to its STOP."""

    def __init__(self, stream: IO[bytes], where: str, *, joblib: bool = False) -> None:
        self._stream = stream
        self._where = where
        self._joblib = joblib
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._frame_end = 0
        self.names: set[Name] = set()
        self.calls: set[Name] = set()
        """What is called with arguments of the pickle's choosing; an instance made without its constructor is no call."""

    def run(self) -> set[Name]:
        """Return all names. Raises Refused `unreadable_pickle` for what the walk cannot follow."""
        try:
            for opcode, argument, _ in pickletools.genops(self._stream):
                self._follow(opcode, argument)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeError) as error:
            raise self._unreadable(f"instruction stream is damaged ({type(error).__name__})") from error
        return self.names

    def _unreadable(self, why: str) -> Refused:
        return Refused(
            "unreadable_pickle",
            f"'{self._where}' cannot be checked: {why}. Log the model in the skops format or as ONNX.",
        )

    def _follow(self, opcode: Any, argument: Any) -> None:
        name = opcode.name
        if name in _PUSHED_CONSTANTS:
            self._stack.append(argument)
        elif name in _NAMED_CONSTANTS:
            self._stack.append(_NAMED_CONSTANTS[name])
        elif handler := getattr(self, f"_on_{name.lower()}", None):
            handler(argument)
        elif name.startswith(("EXT", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER")):
            raise self._unreadable(f"it uses the instruction {name}, which refers to something outside the file")
        else:
            self._generic(opcode)

    def _generic(self, opcode: Any) -> None:
        """Apply an instruction's documented stack effect with unknown values."""
        before = [item.name for item in opcode.stack_before]
        if "mark" in before:
            self._to_mark()
            before = before[: before.index("mark")]
        for _ in before:
            self._pop()
        self._stack.extend(Unknown() for _ in opcode.stack_after)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError
        return value

    def _to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    # Stack and memo

    def _on_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _on_pop(self, _: Any) -> None:
        self._stack.pop()

    def _on_pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _on_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _on_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _on_put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    _on_binput = _on_long_binput = _on_put

    def _on_get(self, argument: Any) -> None:
        self._stack.append(self._memo[int(argument)])

    _on_binget = _on_long_binget = _on_get

    def _on_proto(self, _: Any) -> None:
        pass

    def _on_stop(self, _: Any) -> None:
        self._pop()

    def _on_frame(self, argument: Any) -> None:
        self._frame_end = self._stream.tell() + int(argument)

    # Containers whose content can carry what an array wrapper says about its bytes

    def _on_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    def _on_tuple1(self, _: Any) -> None:
        self._stack.append((self._pop(),))

    def _on_tuple2(self, _: Any) -> None:
        second, first = self._pop(), self._pop()
        self._stack.append((first, second))

    def _on_tuple3(self, _: Any) -> None:
        third, second, first = self._pop(), self._pop(), self._pop()
        self._stack.append((first, second, third))

    def _on_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _on_dict(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set_items(items)

    def _on_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _on_setitems(self, _: Any) -> None:
        self._set_items(self._to_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(
                (key, value) for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, str)
            )

    # Names and calls

    def _on_global(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._bring(module, name)

    def _on_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._bring(module, name)

    def _bring(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self._unreadable("it computes the name of what it imports")
        found = Name(module, name)
        self.names.add(found)
        self._stack.append(found)

    def _on_inst(self, argument: Any) -> None:
        arguments = tuple(self._to_mark())
        self._on_global(argument)
        self._call(self._pop(), arguments)

    def _on_obj(self, _: Any) -> None:
        called, *arguments = self._to_mark()
        self._call(called, tuple(arguments))

    def _on_reduce(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        self._call(called, arguments)

    def _on_newobj(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        self._make(called, arguments)

    def _on_newobj_ex(self, _: Any) -> None:
        _keywords, arguments, called = self._pop(), self._pop(), self._pop()
        self._make(called, arguments)

    def _call(self, called: Any, arguments: Any) -> None:
        self._make(called, arguments)
        self.calls.add(called)
        if str(called) in _RECONSTRUCTORS and not _of_a_plain_type(arguments):
            raise self._unreadable("it calls a constructor through another one")

    def _make(self, called: Any, arguments: Any) -> None:
        if not isinstance(called, Name):
            raise self._unreadable("it calls something it has computed")
        self._stack.append(Made(called, arguments))

    def _on_build(self, _: Any) -> None:
        state = self._pop()
        target = self._stack[-1]
        if isinstance(target, Name):
            raise self._unreadable("it changes a class or module")
        if isinstance(target, Made) and str(target.by) == "joblib.numpy_pickle.NumpyArrayWrapper":
            self._array(state)

    def _array(self, state: Any) -> None:
        if not self._joblib:
            raise self._unreadable("it is a joblib file without the .joblib suffix")
        # An open frame would let the loader take its next instructions from bytes which we skip as array data.
        if self._stream.tell() < self._frame_end:
            raise self._unreadable("an array starts inside a frame")
        wrapper = ArrayWrapper.of(state)
        if wrapper.holds_objects:
            inner = PickleWalk(self._stream, self._where)
            self.names |= inner.run()
            self.calls |= inner.calls
        else:
            skip_array(self._stream, wrapper)

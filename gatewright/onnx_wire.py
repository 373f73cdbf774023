"""What the bytes of a model would become, counted before they are parsed.

An empty message takes two bytes in the file and a hundred in memory, so the size of a file does not
bound what parsing it costs; the number of its fields does.
"""

import onnx

__all__ = ["scan"]

_MODEL, _TENSOR = (kind.DESCRIPTOR.full_name for kind in (onnx.ModelProto, onnx.TensorProto))
_EXTERNAL = onnx.TensorProto.DESCRIPTOR.fields_by_name["external_data"].number


def _messages(top) -> dict:
    """For each message type from ``top`` on: field number to the name of the message in it."""
    table, waiting = {}, [top]
    while waiting:
        kind = waiting.pop()
        if kind.full_name not in table:
            held = [field for field in kind.fields if field.message_type is not None]
            table[kind.full_name] = {f.number: f.message_type.full_name for f in held}
            waiting += [field.message_type for field in held]
    return table


_TABLE = _messages(onnx.ModelProto.DESCRIPTOR)


def scan(data: bytes, limit: int) -> tuple:
    """Walk over the fields of a serialised ``onnx.ModelProto``, nested ones too.

    Parameters
    ----------
    data : bytes
        Anything; where it is no protobuf message the walk ends, and the parser may say why.
    limit : int
        The walk ends here: a microsecond a field, about.

    Returns
    -------
    (int, list of (start, end))
        Fields found, ``limit`` if there are that many; places of the tensors with external data,
        wherever in the file they are.
    """
    count, at, external, around = 0, 0, [], []
    kind, start, end = _MODEL, 0, len(data)
    try:
        while count < limit:
            if at >= end:
                if not around:
                    break
                kind, start, end = around.pop()
                continue
            key, at = _varint(data, at)
            count += 1
            wire = key & 7
            if wire == 2:
                size, at = _varint(data, at)
                if kind == _TENSOR and key >> 3 == _EXTERNAL and (start, end) not in external[-1:]:
                    external.append((start, end))
                below = _TABLE[kind].get(key >> 3)
                if below is None or at + size > end:
                    at += size
                else:
                    around.append((kind, start, end))
                    kind, start, end = below, at, at + size
            elif wire == 0:
                _, at = _varint(data, at)
            else:
                at += {1: 8, 5: 4}.get(wire, 0)     # groups, 3 and 4, are only their two tags
    except (IndexError, ValueError):
        pass
    return count, external


def _varint(data: bytes, at: int) -> tuple:
    """(value, place behind it) of a number of up to ten bytes."""
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while shift < 70:
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7
    raise ValueError("no varint")

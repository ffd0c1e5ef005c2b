"""Display P3, in which recent telephones keep colours, as an ICC profile."""

from struct import pack

# The three primaries as XYZ under the light D50, to which ICC profiles refer.
_PRIMARIES = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_HEADER_SIZE, _ENTRY_SIZE = 128, 12  # bytes


def profile():
    """Return the bytes of the profile, of version 4.3."""
    curve = pack(">4s4xHxx", b"para", 3) + _fixed(_SRGB_CURVE)
    tags = {
        b"desc": _text("Display P3"),
        b"cprt": _text("No copyright"),
        b"wtpt": _xyz(_D50),
        **{name: _xyz(primary) for name, primary in _PRIMARIES.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = pack(">I", len(tags)), b""
    start = _HEADER_SIZE + len(table) + _ENTRY_SIZE * len(tags)
    for name, content in tags.items():
        table += pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    return _header(start + len(data)) + table + data


def _header(size):
    return pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        *(size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp"),
        _fixed(_D50),
    )


def _text(words):
    encoded = words.encode("utf-16-be")
    return pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded


def _xyz(values):
    return pack(">4s4x", b"XYZ ") + _fixed(values)


def _fixed(values):
    return pack(f">{len(values)}i", *(round(value * 65536) for value in values))

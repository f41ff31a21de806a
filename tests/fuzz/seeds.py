"""Write a few good inputs of fuzz_reduce.c into a folder: seeds.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernel_cases import BSLZ4, LZ4, LZ4_BLOCK, NONE, PLANES, encode, image


def main(folder: str) -> None:
    """Write the files."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for code, dtype in enumerate(["uint8", "uint16", "uint32"]):
        for number, encoding in enumerate((NONE, LZ4_BLOCK, LZ4, BSLZ4, BSLZ4, PLANES)):
            for pixels, mean in ((3, 1.0), (257, 0.4), (5003, 0.01), (9000, 5.0)):
                values = image(dtype, pixels, mean)
                values[pixels // 2 : pixels // 2 + 9] = np.iinfo(dtype).max
                for header in (12, 0):
                    options = [
                        number | code << 3,
                        *(pixels - 1).to_bytes(2, "little"),
                    ]
                    options += [3 | number << 2 | code << 4, 0, 200, 4, 37]
                    payload = encode(values, encoding, 1024 if header else 8192)
                    start = 0 if header or encoding != BSLZ4 else 12
                    name = f"{dtype}-{number}-{pixels}-{header}"
                    (target / name).write_bytes(bytes(options) + payload[start:])


if __name__ == "__main__":
    main(sys.argv[1])

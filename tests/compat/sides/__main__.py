"""python -m tests.compat.sides FOLDER: asks both sides, and writes the page."""

import sys
from pathlib import Path

from tests.compat.sides import table

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    answers = {side: table.asked(side, folder / side) for side in table.SIDES}
    table.PAGE.write_text(table.page(answers))

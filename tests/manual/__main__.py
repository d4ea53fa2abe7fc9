"""`python -m tests.manual FOLDER` writes the manual's programs to a folder, for a type checker."""

import sys
from pathlib import Path

from tests.manual.pages import write_programs

write_programs(Path(sys.argv[1]))

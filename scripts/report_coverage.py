"""Shows the coverage of the last test run and fails if a module has too little."""

import io
import sys

from coverage import Coverage

LEAST = 95.0


def main() -> int:
    """Print the report; return 1 if a module is below the percentage that it must have."""
    measured = Coverage()
    measured.load()
    measured.report(file=sys.stdout)
    low = []
    for file in measured.get_data().measured_files():
        percent = measured.report(morfs=[file], file=io.StringIO(), skip_covered=False)
        if percent < LEAST:
            low.append(f"{file}: {percent:.0f} %")
    for line in low:
        print(f"Covered too little: {line}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())

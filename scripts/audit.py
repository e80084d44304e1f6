"""Known vulnerabilities of the locked packages, by pip-audit: exit status 1 if one is found.

An advisory service that can't be reached, or does not know the packages, fails nothing; it is said on one line.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements-dev.lock"
AUDIT = (sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def main() -> int:
    done = subprocess.run([*AUDIT, "--requirement", str(LOCK)], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:
        print(f"audit: not done, the advisory service can't be reached: {(done.stderr.splitlines() or ['no reason given'])[-1]}")
        return 0
    found = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    for package, flaw in found:
        print(
            f"audit: {package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        )
    if unknown := [package["name"] for package in packages if "skip_reason" in package]:
        print(f"audit: {len(unknown)} of {len(packages)} packages are not known to the advisory service")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The link (spec/60-quality.md): what a tapped message costs ejabberd, against the same without mod_rapport. Two private ejabberds."""

import asyncio

from link import USERS, compare
from rig.ejabberd import Ejabberd

if __name__ == "__main__":
    asyncio.run(compare("ejabberd", lambda module: Ejabberd(USERS, module=module, modules={"mod_mam": None})))

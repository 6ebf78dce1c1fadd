"""Restores backups of Home Assistant."""

from pathlib import Path
import tarfile


def unpack(file: Path, folder: Path) -> None:
    """Unpack a backup into a folder, as Home Assistant does at its start."""
    with tarfile.open(file) as outer:
        [member] = [one for one in outer if one.name.endswith("homeassistant.tar.gz")]
        with tarfile.open(fileobj=outer.extractfile(member), mode="r:gz") as archive:
            archive.extractall(folder.with_suffix(".part"), filter="tar")
    (folder.with_suffix(".part") / "data").rename(folder)
    folder.with_suffix(".part").rmdir()

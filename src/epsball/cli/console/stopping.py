"""Messages for a command that is stopped with Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epsball.errors import Stopped


@contextmanager
def kept_audit(run: Path) -> Iterator[None]:
    """Say how many images of an audit are finished where it is stopped, and the answer so far."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(_of_audit(run)) from None


@contextmanager
def kept_run(out: Path, what: str) -> Iterator[None]:
    """Say that the finished part of a run stays where it is stopped.

    Args:
        out: its directory.
        what: its parts, "epochs".
    """
    try:
        yield
    except KeyboardInterrupt:
        started = out.is_dir() and any(out.iterdir())
        finished = f"finished {what} are in {out}" if started else "nothing was finished yet"
        raise Stopped(f"stopped: {finished}; give the same command again to go on") from None


def _of_audit(run: Path) -> str:
    again = "give the same command again to go on"
    files = list((run / "records").glob("*.parquet")) if (run / "records").is_dir() else []
    if not files:
        return f"stopped: no image was finished; {again}"
    from epsball.evaluation.metrics.present import counted
    from epsball.files import read_json

    shards = {file.name.partition("-")[0] for file in files}
    manifest = read_json(run / "manifest.json", "audit")
    total = manifest["data"]["n"]
    whole = sum(
        len([f for f in files if f.name.startswith(shard)]) == len(manifest["attacks"])
        for shard in shards
    )
    images = min(total, whole * manifest["engine"]["shard"])
    so_far = ""
    if (run / "summary.json").is_file():
        sentence = read_json(run / "summary.json", "audit")["headline"]
        so_far = f"\nso far: {sentence}\npage: epsball report {run}" if sentence else ""
    done = f"{images:,} of {counted(total, 'image')} are finished"
    partly = "" if whole == len(shards) else ", and some attacks on the next ones"
    return f"stopped: {done}{partly}, in {run}; {again}{so_far}"

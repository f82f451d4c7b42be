#!/usr/bin/env python3
"""Replays the recorded edge cases that use only the messages this server offers.

usage: edge_cases.py REPLAYER RECORDING HOST:PORT

REPLAYER is riak-replay.py, RECORDING its pb-edge-cases.jsonl. The server must be fresh and hold the
bucket types that the replayer names. Prints the cases left out, then the replayer's answer.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

# ping, client id, server info, get, put, delete, listings, properties of buckets and types; and a
# code that no server knows
OFFERED = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 29, 31, 200}


def codes(case):
    return {bytes.fromhex(step["req"])[0] for step in case["steps"] if "req" in step}


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    replayer, recording, address = sys.argv[1:]
    kept = []
    for line in pathlib.Path(recording).read_text().splitlines():
        case = json.loads(line)
        others = codes(case) - OFFERED
        if others:
            print(f"left out (messages {sorted(others)}): {case['case']}")
        else:
            kept.append(line)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "pb-edge-cases.jsonl"
        path.write_text("\n".join(kept) + "\n")
        sys.stdout.flush()
        result = subprocess.run(
            [sys.executable, replayer, "--pb", address, "--verbose", str(path)])
    sys.exit(result.returncode)


main()

#!/usr/bin/env python3
"""What the Python client does every day, against a running cluster.

usage: basic.py HOST:PORT [HOST:PORT ...]      protobuf ports; every node is used
Prints a line a check and exits with 1 when one fails.
"""
import sys
import uuid

import riak
from riak import RiakClient, RiakError, RiakNode, ConflictError
from riak.resolver import default_resolver

failures = 0
passed = 0


def check(what, condition, detail=""):
    global failures, passed
    print(("ok   " if condition else "FAIL ") + what + (f": {detail}" if not condition and detail else ""))
    if condition:
        passed += 1
    else:
        failures += 1


def raises(what, error, action):
    try:
        action()
    except error:
        check(what, True)
    except Exception as other:  # the check reports what came instead
        check(what, False, repr(other))
    else:
        check(what, False, "nothing was raised")


def connect(addresses):
    nodes = [{"host": host, "pb_port": int(port)}
             for host, port in (address.rsplit(":", 1) for address in addresses)]
    return RiakClient(protocol="pbc", nodes=nodes)


def objects(client, bucket):
    key = uuid.uuid4().hex
    check("ping", client.ping())
    check("a missing object does not exist", not bucket.get(key).exists)
    bucket.new(key, {"name": "Jane", "n": 1}).store()
    stored = bucket.get(key)
    check("JSON comes back", stored.data == {"name": "Jane", "n": 1}, repr(stored.data))
    check("the content type comes back", stored.content_type == "application/json")
    stored.data["n"] = 2
    stored.usermeta = {"author": "test"}
    stored.add_index("name_bin", "smith")
    stored.store()
    again = bucket.get(key)
    check("an update replaces", again.data["n"] == 2 and len(again.siblings) == 1)
    check("user metadata comes back", again.usermeta == {"author": "test"})
    check("index entries come back", again.indexes == {("name_bin", "smith")})
    raw = bytes(range(256)) * 40
    bucket.new(key + "-raw", encoded_data=raw, content_type="application/octet-stream").store()
    check("binary values come back", bucket.get(key + "-raw").encoded_data == raw)
    again.delete()
    check("a deleted object is gone", not bucket.get(key).exists)
    bucket.delete("never-there-" + key)
    check("deleting nothing succeeds", True)
    generated = bucket.new(data="x").store()
    check("a key is generated", bool(generated.key) and bucket.get(generated.key).data == "x")
    first = bucket.new(key + "-once", data="a")
    first.store(if_none_match=True)
    raises("if_none_match refuses a second write", RiakError,
           lambda: bucket.new(key + "-once", data="b").store(if_none_match=True))
    raises("a zero-length key is refused", Exception, lambda: bucket.get(""))


def siblings(client, bucket):
    bucket.set_properties({"allow_mult": True})
    bucket.resolver = default_resolver
    key = uuid.uuid4().hex
    for value in ("one", "two", "three"):
        bucket.new(key, encoded_data=value.encode(), content_type="text/plain").store()
    conflicted = bucket.get(key)
    values = sorted(sibling.encoded_data for sibling in conflicted.siblings)
    check("blind writes become siblings", values == [b"one", b"three", b"two"], repr(values))
    raises("a conflict has no single value", ConflictError, lambda: conflicted.data)
    chosen = next(s for s in conflicted.siblings if s.encoded_data == b"two")
    conflicted.siblings = [chosen]
    conflicted.store()
    resolved = bucket.get(key)
    check("one write resolves them", [s.encoded_data for s in resolved.siblings] == [b"two"])


def listings(client, bucket):
    keys = {f"key-{n}" for n in range(250)}
    for key in keys:
        bucket.new(key, data=key).store()
    listed = bucket.get_keys()
    check("all keys are listed, each once", sorted(listed) == sorted(keys), f"{len(listed)} keys")
    check("keys are streamed", {k for batch in bucket.stream_keys() for k in batch} == keys)
    check("the bucket is listed", bucket.name in [b.name for b in client.get_buckets()])


def properties(client, bucket):
    check("n_val is 3", bucket.get_property("n_val") == 3)
    check("siblings are off at first", bucket.get_property("allow_mult") is False)
    bucket.set_properties({"allow_mult": True, "n_val": 2, "r": "one", "pw": 1})
    changed = bucket.get_properties()
    check("properties change", changed["allow_mult"] is True and changed["n_val"] == 2
          and changed["r"] == "one" and changed["pw"] == 1, repr(changed))
    bucket.clear_properties()
    check("and are reset", bucket.get_property("n_val") == 3
          and bucket.get_property("allow_mult") is False)
    raises("a wrong property is refused", RiakError, lambda: bucket.set_properties({"n_val": 0}))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    riak.disable_list_exceptions = True
    client = connect(sys.argv[1:])
    run = uuid.uuid4().hex[:8]
    for part in (objects, siblings, listings, properties):
        print(f"-- {part.__name__}")
        try:
            part(client, client.bucket(f"{part.__name__}-{run}"))
        except Exception as error:  # a part that breaks off is a failure, the next one still runs
            check(part.__name__, False, repr(error))
    client.close()
    print(f"{passed} passed, {failures} failed")
    sys.exit(1 if failures else 0)


main()

#!/usr/bin/env python3
"""Runs the Python client's own live suites against a cluster.

usage: suite.py pbc|http [MODULE ...]      all of them when none is named

RIAK_TEST_PB_PORT and RIAK_TEST_HTTP_PORT name the ports; the client's folder is on PYTHONPATH; the
cluster is fresh and has the bucket types that prepare the suites (see scripts/conformance). For each
module the passes, failures and skips are printed. Every test must pass, within TIME_LIMIT seconds, but
those listed below. Exits with 1 when any other fails or a module has fewer tests than it should.
"""
import os
import signal
import sys
import unittest

SWITCHED_ON = ["BTYPES", "CLIENT", "DATATYPES", "INDEXES", "KV", "MAPREDUCE", "POOL", "RESOLVE"]
SWITCHED_OFF = ["SEARCH", "SECURITY", "TIMESERIES", "YZ"]
os.environ.update({f"RUN_{name}": "1" for name in SWITCHED_ON})
os.environ.update({f"RUN_{name}": "0" for name in SWITCHED_OFF})
PROTOCOL = sys.argv[1]
os.environ.update(RIAK_TEST_PROTOCOL=PROTOCOL)
TIME_LIMIT = 60

# how many tests each module has at least
MODULES = {"test_kv": 43, "test_2i": 17, "test_btypes": 13, "test_datatypes": 54,
           "test_mapreduce": 41, "test_client": 14, "test_pool": 15}

CLIENT_FAULT = "the client's own code does not work on a current Python, whatever the server"
LEFT_OUT = {
    "test_store_binary_object_from_file_should_use_default_mimetype":
        "depends on the file types that the client's machine knows",
    "test_preflist": "knows no other node names than riak@127.0.0.1 and dev1@127.0.0.1",
    "test_pool_close": CLIENT_FAULT,
    "test_removes_bad_resource": CLIENT_FAULT,
}
if PROTOCOL == "http":
    LEFT_OUT.update(dict.fromkeys(
        ["test_erlang_source_map_reduce", "test_erlang_source_map_reduce_bucket_type"],
        "expects the server's refusal of source text word for word, which the client hides over HTTP"))
# the end of an error, and why tests that fail with it are left out
LEFT_OUT_BY_ERROR = {
    "JavaScript phases are not offered": "needs JavaScript, which the reference has no longer either",
}


def reason(test, trace):
    """Why a failing test is left out; None when it should have passed."""
    for text, why in LEFT_OUT_BY_ERROR.items():
        if text in trace:
            return why
    return LEFT_OUT.get(test.id().rsplit(".", 1)[-1])


class Limited(unittest.TextTestResult):
    """Ends a test that takes too long."""

    def startTest(self, test):
        super().startTest(test)
        signal.alarm(TIME_LIMIT)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)


def out_of_time(*_):
    raise TimeoutError(f"more than {TIME_LIMIT} s")


def run(module):
    suite = unittest.defaultTestLoader.loadTestsFromName(f"riak.tests.{module}")
    result = unittest.TextTestRunner(
        verbosity=0, stream=open(os.devnull, "w"), resultclass=Limited).run(suite)
    reasons, wrong = {}, []
    for test, trace in result.failures + result.errors:
        why = reason(test, trace)
        if why:
            reasons.setdefault(why, []).append(test.id().rsplit(".", 1)[-1])
        else:
            wrong.append((test.id(), trace))
    left_out = sum(len(names) for names in reasons.values())
    passed = result.testsRun - left_out - len(wrong) - len(result.skipped)
    print(f"{module}: {passed} of {result.testsRun} pass, {len(wrong)} fail, {left_out} left out, "
          f"{len(result.skipped)} skipped by the client")
    for why, names in reasons.items():
        print(f"  left out: {why}: {', '.join(sorted(names))}")
    for test, why in result.skipped:
        print(f"  skipped: {test.id().rsplit('.', 1)[-1]}: {why}")
    for name, trace in wrong:
        print(f"  FAIL {name}\n{trace}")
    sys.stdout.flush()
    return not wrong and result.testsRun >= MODULES.get(module, 1)


def main():
    signal.signal(signal.SIGALRM, out_of_time)
    outcomes = [run(module) for module in sys.argv[2:] or MODULES]
    # not sys.exit, which waits for threads that a test has left behind
    os._exit(0 if all(outcomes) else 1)


main()

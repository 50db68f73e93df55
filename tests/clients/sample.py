"""What the suites of this folder share: the server they are told, and a sample request to send it in every form.

A sample is a request body of the protocol: flights.json, shapes.json. The suites build the same tensors from it, so a
server with another model needs but another sample.
"""
import argparse
import http.client
import json
import ssl
import sys
import unittest

import numpy as np

NUMPY = {"BOOL": np.bool_, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
         "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
         "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_}


class Sample:
    def __init__(self, text):
        self.request = json.loads(text)
        self.inputs = self.request["inputs"]

    def array(self, tensor):
        """The tensor's data as numpy has it; texts as bytes."""
        data = tensor["data"]
        if tensor["datatype"] == "BYTES":
            data = [text.encode() for text in data]
        array = np.empty(len(data), dtype=np.object_) if tensor["datatype"] == "BYTES" else None
        if array is None:
            array = np.array(data, dtype=NUMPY[tensor["datatype"]])
        else:
            array[:] = data
        return array.reshape(tensor["shape"])

    def arrays(self):
        return {tensor["name"]: (tensor["datatype"], self.array(tensor)) for tensor in self.inputs}

    @property
    def rows(self):
        return self.inputs[0]["shape"][0]


class Access:
    """How the server is reached: over TLS where it is told whom to trust, with a token where it is told one."""

    def __init__(self, ca_file="", token_file=""):
        self.ca_file = ca_file
        self.token = ""
        if token_file:
            with open(token_file, encoding="utf-8") as file:
                self.token = file.readline().strip()

    @property
    def scheme(self):
        return "https" if self.ca_file else "http"

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def context(self):
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    def connection(self, url):
        """Of the standard library."""
        return http.client.HTTPSConnection(url, context=self.context()) if self.ca_file else http.client.HTTPConnection(url)


def run(module_name):
    """Runs the suite in that module against --url; the exit code says how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, help="host:port")
    parser.add_argument("--model", required=True)
    parser.add_argument("--sample", required=True, help="a request body with the model's inputs")
    parser.add_argument("--any-words", action="store_true", help="of errors, look at the status alone")
    parser.add_argument("--ca-file", default="", help="speak TLS with a server that this file vouches for")
    parser.add_argument("--token-file", default="", help="send the token in this file's first line")
    parser.add_argument("--only", default="", help="names of test classes, comma-separated; all without it")
    arguments = parser.parse_args()
    module = sys.modules[module_name]
    with open(arguments.sample, encoding="utf-8") as file:
        module.SAMPLE = Sample(file.read())
    module.URL = arguments.url
    module.ACCESS = Access(arguments.ca_file, arguments.token_file)
    module.ANY_WORDS = arguments.any_words
    module.MODEL = arguments.model
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for name in arguments.only.split(",") if arguments.only else [None]:
        suite.addTests(loader.loadTestsFromModule(module) if name is None
                       else loader.loadTestsFromTestCase(getattr(module, name)))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    print(f"{result.testsRun} tests of {module.NAME} ran")
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)

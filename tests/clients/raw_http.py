"""What no client library shows: status codes and words of every kind of refusal, pipelining, kept and closed
connections, chunked and compressed bodies, and the repository's versions. Python's standard library alone.

  python raw_http.py --url localhost:8080 --model flights --sample flights.json
"""
import argparse
import gzip
import http.client
import json
import socket
import sys
import unittest
import zlib

NAME = "plain HTTP"
URL = MODEL = SAMPLE = None


class Connected(unittest.TestCase):
    def setUp(self):
        self.connection = http.client.HTTPConnection(URL, timeout=30)
        self.addCleanup(self.connection.close)
        self.infer = f"/v2/models/{MODEL}/infer"

    def call(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response, response.read()

    def json(self, method, path, body=None, headers=None):
        response, content = self.call(method, path, body, headers)
        return response.status, json.loads(content)

    def assert_refused(self, status, words, method, path, body=None, headers=None):
        response, content = self.call(method, path, body, headers)
        self.assertEqual(response.status, status, content)
        self.assertEqual(response.getheader("Content-Type"), "application/json")
        answer = json.loads(content)
        self.assertEqual(list(answer), ["error"])
        self.assertIn(words, answer["error"])
        return response

    def raw(self, data, replies=1):
        """Sends bytes on a connection of its own; the answers' status lines and what they say, then whether it closed."""
        host, port = URL.split(":")
        answers = []
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(data)
            file = connection.makefile("rb")
            for _ in range(replies):
                status = int(file.readline().split()[1])
                headers = http.client.parse_headers(file)
                answers.append((status, headers, file.read(int(headers["Content-Length"]))))
        return answers


class Routes(Connected):
    def test_each_route_by_its_method(self):
        versions = self.json("GET", f"/v2/models/{MODEL}")[1]["versions"]
        for path in ["/v2", "/v2/", "/v2/health/live", "/v2/health/ready", f"/v2/models/{MODEL}",
                     f"/v2/models/{MODEL}/ready", f"/v2/models/{MODEL}/versions/{versions[0]}",
                     f"/v2/models/{MODEL}/versions/{versions[0]}/ready"]:
            status, answer = self.json("GET", path)
            self.assertEqual(status, 200, path)
            self.assertIsInstance(answer, dict)
            response, content = self.call("HEAD", path)
            self.assertEqual((response.status, content), (200, b""), path)
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                refused = self.assert_refused(405, "GET", method, path)
                self.assertEqual(refused.getheader("Allow"), "GET, HEAD")
        for path in [self.infer, f"/v2/models/{MODEL}/versions/{versions[0]}/infer", "/v2/repository/index",
                     f"/v2/repository/models/{MODEL}/load", f"/v2/repository/models/{MODEL}/unload"]:
            for method in ("GET", "PUT", "DELETE"):
                self.assertEqual(self.assert_refused(405, "POST", method, path).getheader("Allow"), "POST")
        for path in ["/v3", "/v2/models", f"/v2/models/{MODEL}/nonsense", "/v2/repository", "/%00", "/v2/models//infer"]:
            self.assert_refused(404, "no such path", "GET", path)

    def test_health_bodies(self):
        self.assertEqual(self.json("GET", "/v2/health/live")[1], {"live": True})
        self.assertEqual(self.json("GET", "/v2/health/ready")[1], {"live": True, "ready": True})

    def test_kept_versions_are_unloaded_and_loaded(self):
        versions = self.json("GET", f"/v2/models/{MODEL}")[1]["versions"]
        self.assertGreaterEqual(len(versions), 2, "this test wants kept versions")
        live, kept = versions[0], versions[1]
        of_kept = f"/v2/models/{MODEL}/versions/{kept}"
        body = json.dumps({"parameters": {"version": kept}})
        self.assertEqual(self.json("POST", f"/v2/repository/models/{MODEL}/unload", body),
                         (200, {"name": MODEL, "unload": True}))
        self.assert_refused(404, f"no version '{kept}' loaded", "POST", of_kept + "/infer", SAMPLE)
        self.assert_refused(404, f"no version '{kept}' loaded", "GET", of_kept + "/ready")
        index = {entry["version"]: entry for entry in self.json("POST", "/v2/repository/index")[1]}
        self.assertEqual(index[kept], {"name": MODEL, "version": kept, "state": "UNAVAILABLE", "reason": "unloaded"})
        self.assertEqual(index[live], {"name": MODEL, "version": live, "state": "READY", "reason": ""})
        ready = self.json("POST", "/v2/repository/index", '{"ready": true}')[1]
        self.assertNotIn(kept, [entry["version"] for entry in ready])
        self.assertEqual(self.json("POST", f"/v2/repository/models/{MODEL}/load", body),
                         (200, {"name": MODEL, "load": True}))
        self.assertEqual(self.json("POST", of_kept + "/infer", SAMPLE)[1]["model_version"], kept)
        unload = f"/v2/repository/models/{MODEL}/unload"
        self.assert_refused(409, "is live", "POST", unload)
        self.assert_refused(409, "is live", "POST", unload, json.dumps({"parameters": {"version": live}}))
        self.assert_refused(404, "no version '999999999' kept", "POST", unload, '{"parameters":{"version":"999999999"}}')
        self.assert_refused(400, "version number", "POST", unload, '{"parameters":{"version":"x"}}')
        self.assert_refused(400, "JSON", "POST", unload, "nonsense")

    def test_bodies_that_are_no_request(self):
        for body in (b"", b" ", b"{", b"[]", b"null", b"\xff", b"{}", b'{"inputs":[NaN]}', b"[" * 100000):
            self.assert_refused(400, "", "POST", self.infer, body)
        for length in ("-1", "x", "", "99999999999999999999"):
            self.assert_refused(400, "Inference-Header-Content-Length", "POST", self.infer, SAMPLE,
                                {"Inference-Header-Content-Length": length})
        self.assert_refused(400, "Inference-Header-Content-Length", "POST", self.infer, SAMPLE,
                            {"Inference-Header-Content-Length": str(len(SAMPLE) + 1)})


class Http(Connected):
    def request(self, path=None, body=b"", headers=""):
        return (f"POST {path or self.infer} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
                .encode() + body)

    def test_pipelined_requests_are_answered_in_order(self):
        bodies = [json.dumps(dict(json.loads(SAMPLE), id=str(i))).encode() for i in range(100)]
        bodies[50] = b"nonsense"  # does not end the connection
        answers = self.raw(b"".join(self.request(body=body) for body in bodies), len(bodies))
        for i, (status, _, content) in enumerate(answers):
            self.assertEqual(status, 400 if i == 50 else 200)
            if i != 50:
                self.assertEqual(json.loads(content)["id"], str(i))

    def test_one_connection_takes_many_requests(self):
        self.connection.connect()
        port = self.connection.sock.getsockname()[1]
        for i in range(300):
            status, _ = self.json("POST", self.infer, SAMPLE if i % 3 else b"nonsense")
            self.assertEqual(status, 200 if i % 3 else 400)
        self.assertEqual(self.connection.sock.getsockname()[1], port)

    def test_the_connection_closes_when_asked(self):
        answer = self.raw(self.request(body=SAMPLE, headers="Connection: close\r\n"))[0]
        self.assertEqual((answer[0], answer[1]["Connection"]), (200, "close"))
        status, headers, _ = self.raw(b"GET /v2/health/live HTTP/1.0\r\n\r\n")[0]
        self.assertEqual((status, headers["Connection"]), (200, "close"))

    def test_chunked_bodies(self):
        half = len(SAMPLE) // 2
        self.connection.request("POST", self.infer, iter([SAMPLE[:half], SAMPLE[half:]]), encode_chunked=True)
        self.assertEqual(self.connection.getresponse().status, 200)

    def test_compressed_bodies(self):
        for coding, packed in (("gzip", gzip.compress(SAMPLE)), ("deflate", zlib.compress(SAMPLE)),
                               ("x-gzip", gzip.compress(SAMPLE)), ("identity", SAMPLE)):
            self.assertEqual(self.json("POST", self.infer, packed, {"Content-Encoding": coding})[0], 200, coding)
        self.assert_refused(400, "no gzip data", "POST", self.infer, b"nonsense", {"Content-Encoding": "gzip"})
        self.assert_refused(400, "cut short", "POST", self.infer, gzip.compress(SAMPLE)[:-9], {"Content-Encoding": "gzip"})
        bomb = gzip.compress(bytes(64 << 20))
        self.assert_refused(413, "inflates to more than", "POST", self.infer, bomb, {"Content-Encoding": "gzip"})
        self.assertEqual(self.json("POST", self.infer, SAMPLE)[0], 200)
        answer = self.raw(self.request(body=SAMPLE, headers="Content-Encoding: br\r\n"))[0]
        self.assertEqual(answer[0], 415)
        response, packed = self.call("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        self.assertEqual(response.getheader("Content-Encoding"), "gzip")
        self.assertIn(b"freshet_http_requests_total", gzip.decompress(packed))

    def test_limits_and_broken_http(self):
        for status, data in ((413, f"POST {self.infer} HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n"),
                             (431, "GET /v2 HTTP/1.1\r\nHost: h\r\nX: " + "x" * 20000 + "\r\n\r\n"),
                             (400, "GET /v2 HTTP/1.1\r\n\r\n"),
                             (400, "nonsense\r\n\r\n"),
                             (400, f"POST {self.infer} HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"),
                             (417, f"POST {self.infer} HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n"),
                             (501, f"POST {self.infer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"),
                             (505, "GET /v2 HTTP/3.0\r\nHost: h\r\n\r\n")):
            answer = self.raw(data.encode())[0]
            self.assertEqual(answer[0], status, data[:60])
            self.assertEqual(answer[1]["Connection"], "close")
            self.assertIn("error", json.loads(answer[2]))
        self.assertEqual(self.json("GET", "/v2/health/live")[0], 200)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--url", "--model", "--sample"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    URL, MODEL = arguments.url, arguments.model
    with open(arguments.sample, "rb") as sample_file:
        SAMPLE = json.dumps(json.load(sample_file)).encode()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(
        unittest.TestLoader().loadTestsFromModule(sys.modules["__main__"]))
    print(f"{result.testsRun} tests of {NAME} ran")
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 else 1)

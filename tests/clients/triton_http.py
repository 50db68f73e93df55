"""tritonclient's HTTP client, as it is, against a running server: every route that it has, JSON and binary tensors both
ways, compression, errors.

  python triton_http.py --url localhost:8080 --model flights --sample flights.json

Protocol holds for any server of the protocol with the binary tensor and model repository extensions; Errors asks for
the status codes that the protocol's texts name; OneModelOnly is what Freshet decided beyond them.
"""
import asyncio
import json
import ssl
import unittest

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.http import InferenceServerClientPlugin
from tritonclient.utils import InferenceServerException

import sample

NAME = "tritonclient"
URL = MODEL = SAMPLE = ANY_WORDS = ACCESS = None  # set by sample.run


class Token(InferenceServerClientPlugin):
    """What tritonclient has for headers that go with every request."""

    def __call__(self, request):
        request.headers.update(ACCESS.headers)


def connect(**named):
    if ACCESS.ca_file:
        named.update(ssl=True, ssl_context_factory=ssl.create_default_context, ssl_options={"ca_certs": ACCESS.ca_file})
    client = triton.InferenceServerClient(URL, **named)
    client.register_plugin(Token())
    return client


def connect_asyncio():
    client = triton_aio.InferenceServerClient(URL, ssl=bool(ACCESS.ca_file), ssl_context=ACCESS.context())
    client.register_plugin(Token())
    return client


def inputs(binary=True, library=triton):
    """The sample as tritonclient's inputs; `binary` True, False, or "mixed": every other one."""
    made = []
    for index, (name, (datatype, array)) in enumerate(SAMPLE.arrays().items()):
        tensor = library.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=index % 2 == 0 if binary == "mixed" else binary)
        made.append(tensor)
    return made


def repeated(rows, library=triton):
    made = []
    for name, (datatype, array) in SAMPLE.arrays().items():
        array = np.resize(array, (rows,) + array.shape[1:])
        tensor = library.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=True)
        made.append(tensor)
    return made


def values(result, name):
    """as_numpy gives texts as str when they came in JSON, as bytes when they came in binary."""
    array = result.as_numpy(name)
    if array.dtype == np.object_:
        array = np.array([one.decode() if isinstance(one, bytes) else one for one in array.ravel()]).reshape(array.shape)
    return array


class Connected(unittest.TestCase):
    def setUp(self):
        self.client = connect(concurrency=4)
        self.addCleanup(self.client.close)
        self.metadata = self.client.get_model_metadata(MODEL)
        self.outputs = [output["name"] for output in self.metadata["outputs"]]
        # Versions may change under the suite; what is compared comes from one.
        self.version = (self.metadata.get("versions") or [""])[0]

    def infer(self, *arguments, **named):
        return self.client.infer(MODEL, *arguments, model_version=self.version, **named)

    def expected(self):
        result = self.infer(inputs(False), outputs=[triton.InferRequestedOutput(n, binary_data=False) for n in self.outputs])
        return {name: values(result, name) for name in self.outputs}

    def assert_same(self, result, names=None, rows=None):
        for name in names or self.outputs:
            want = self.want[name]
            if rows is not None:
                want = np.resize(want, (rows,) + want.shape[1:])
            np.testing.assert_array_equal(values(result, name), want, err_msg=name)

    def assert_refused(self, status, words, call, *arguments, **named):
        with self.assertRaises(InferenceServerException) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.status(), str(status), caught.exception)
        if not ANY_WORDS:
            self.assertIn(words, caught.exception.message())


class Protocol(Connected):
    def setUp(self):
        super().setUp()
        self.want = self.expected()

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready(MODEL))
        self.assertTrue(self.client.is_model_ready(MODEL, self.version))
        self.assertFalse(self.client.is_model_ready(MODEL, "999999999"))
        self.assertFalse(self.client.is_model_ready("no such model"))

    def test_metadata(self):
        server = self.client.get_server_metadata()
        self.assertTrue(server["name"] and server["version"])
        self.assertLessEqual({"binary_tensor_data", "model_repository"}, set(server["extensions"]))
        for model in (self.metadata, self.client.get_model_metadata(MODEL, self.version)):
            self.assertEqual(model["name"], MODEL)
            self.assertTrue(model["platform"])
            described = {tensor["name"]: tensor for tensor in model["inputs"]}
            self.assertLessEqual(set(SAMPLE.arrays()), set(described))
            for tensor in model["inputs"] + model["outputs"]:
                self.assertIn(tensor["datatype"], sample.NUMPY)
                self.assertEqual(tensor["shape"][0], -1)

    def test_inputs_in_every_form(self):
        for binary in (True, False, "mixed"):
            with self.subTest(binary=binary):
                self.assert_same(self.infer(inputs(binary)))

    def test_outputs_in_every_form(self):
        for form in (True, False):
            result = self.infer(inputs(), outputs=[triton.InferRequestedOutput(n, binary_data=form) for n in self.outputs])
            self.assert_same(result)
            for name in self.outputs:
                self.assertEqual("data" in result.get_output(name), not form)
        forms = [index % 2 == 0 for index in range(len(self.outputs))]
        result = self.infer(inputs(), outputs=[triton.InferRequestedOutput(n, binary_data=form)
                                               for n, form in zip(self.outputs, forms)])
        self.assert_same(result)

    def test_outputs_in_the_order_asked_for(self):
        names = self.outputs[::-1]
        result = self.infer(inputs(), outputs=[triton.InferRequestedOutput(name) for name in names])
        self.assertEqual([output["name"] for output in result.get_response()["outputs"]], names)
        self.assert_same(result)
        one = self.infer(inputs(), outputs=[triton.InferRequestedOutput(names[0])])
        self.assertEqual([output["name"] for output in one.get_response()["outputs"]], names[:1])
        self.assert_same(one, names[:1])
        self.assertIsNone(one.as_numpy("no such output"))

    def test_output_datatypes_and_shapes_are_those_of_the_metadata(self):
        result = self.infer(inputs())
        for described in self.metadata["outputs"]:
            output = result.get_output(described["name"])
            self.assertEqual(output["datatype"], described["datatype"])
            self.assertEqual(output["shape"], [SAMPLE.rows] + described["shape"][1:])

    def test_id_model_and_version(self):
        for request_id in ("", "42", 'quoted " and é€'):
            response = self.infer(inputs(), request_id=request_id).get_response()
            self.assertEqual(response.get("id", ""), request_id)
            self.assertEqual(response["model_name"], MODEL)
            self.assertEqual(response["model_version"], self.version)
        self.assertIn(self.client.infer(MODEL, inputs()).get_response()["model_version"],
                      self.client.get_model_metadata(MODEL)["versions"])

    def test_kept_versions_answer_as_themselves(self):
        for version in self.metadata.get("versions", []):
            response = self.client.infer(MODEL, inputs(), model_version=version).get_response()
            self.assertEqual(response["model_version"], version)

    def test_hints_and_custom_parameters_change_nothing(self):
        self.assert_same(self.infer(inputs(), priority=1, timeout=1000000, sequence_id=7, sequence_start=True,
                                    parameters={"mine": "x", "number": 3, "truth": True}))
        self.assert_same(self.infer(inputs(), headers={"X-Mine": "y"}, query_params={"a": 1, "b": ["c", "d e"]}))

    def test_compression(self):
        for packed in ("gzip", "deflate"):
            for binary in (True, False):
                self.assert_same(self.infer(inputs(binary), request_compression_algorithm=packed))
            # Enough rows for an answer that is worth it.
            result = self.infer(repeated(1000), response_compression_algorithm=packed,
                                request_compression_algorithm=packed)
            self.assert_same(result, rows=1000)

    def test_batches_of_any_size(self):
        for rows in (1, 2, 255, 256, 257, 3000):
            self.assert_same(self.infer(repeated(rows)), rows=rows)

    def test_many_requests_on_kept_connections(self):
        for _ in range(200):
            self.assert_same(self.infer(inputs()))

    def test_asynchronous_requests(self):
        pending = [self.client.async_infer(MODEL, inputs(i % 2 == 0), model_version=self.version, request_id=str(i))
                   for i in range(40)]
        for i, request in enumerate(pending):
            result = request.get_result(timeout=30)
            self.assertEqual(result.get_response()["id"], str(i))
            self.assert_same(result)

    def test_asyncio_client(self):
        async def ask():
            async with connect_asyncio() as client:
                self.assertTrue(await client.is_server_live())
                self.assertTrue(await client.is_server_ready())
                self.assertTrue(await client.is_model_ready(MODEL))
                self.assertEqual((await client.get_model_metadata(MODEL))["name"], MODEL)
                results = await asyncio.gather(*[
                    client.infer(MODEL, inputs(i % 2 == 0, triton_aio), model_version=self.version,
                                 response_compression_algorithm="gzip" if i % 3 == 0 else None) for i in range(20)])
                for result in results:
                    self.assert_same(result)
                # Packed without being asked: the client's own headers take it.
                self.assert_same(await client.infer(MODEL, repeated(1000, triton_aio), model_version=self.version), rows=1000)
                self.assertTrue(await client.get_model_repository_index())
        asyncio.run(ask())

    def test_bodies_made_and_read_by_hand(self):
        body, length = triton.InferenceServerClient.generate_request_body(inputs())
        connection = ACCESS.connection(URL)
        connection.request("POST", f"/v2/models/{MODEL}/versions/{self.version}/infer", body,
                           ACCESS.headers | ({"Inference-Header-Content-Length": str(length)} if length else {}))
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        header = response.getheader("Inference-Header-Content-Length")
        result = triton.InferenceServerClient.parse_response_body(
            response.read(), header_length=int(header) if header else None)
        self.assert_same(result)
        connection.close()

    def test_repository(self):
        index = self.client.get_model_repository_index()
        ready = {(entry["name"], entry["version"]) for entry in index if entry["state"] == "READY"}
        self.assertIn((MODEL, self.version), ready)
        self.client.load_model(MODEL)
        self.assertTrue(self.client.is_model_ready(MODEL))


class Errors(Connected):
    def changed(self, name=None, **fields):
        """The sample with one tensor (the first) written another way, as JSON."""
        tensors = [dict(tensor) for tensor in SAMPLE.inputs]
        tensors[0].update(fields)
        if name is not None:
            tensors[0]["name"] = name
        return tensors

    def post(self, tensors, **more):
        """Through tritonclient's own transport and error reading, past its own checks of the data."""
        made = []
        for tensor in tensors:
            one = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
            one._data = tensor["data"]
            made.append(one)
        return self.client.infer(MODEL, made, **more)

    def test_unknown_model_or_version(self):
        for call in (self.client.get_model_metadata, lambda name, **named: self.client.infer(name, inputs(), **named)):
            self.assert_refused(404, "no such model", call, "no such model")
            for version in ("999999999", "x", "-1", "1.5", "18446744073709551616"):
                self.assert_refused(404, version, call, MODEL, model_version=version)

    def test_unknown_tensors(self):
        self.assert_refused(400, "there is no input 'nonsense'", self.post, self.changed("nonsense"))
        self.assert_refused(400, "there is no output 'nonsense'", self.client.infer, MODEL, inputs(),
                            outputs=[triton.InferRequestedOutput("nonsense")])
        self.assert_refused(400, "asked for twice", self.client.infer, MODEL, inputs(),
                            outputs=[triton.InferRequestedOutput(self.outputs[0]) for _ in range(2)])
        self.assert_refused(400, "given twice", self.client.infer, MODEL, inputs() + inputs()[:1])

    def test_tensors_that_do_not_fit(self):
        first = SAMPLE.inputs[0]
        self.assert_refused(400, first["name"], self.post, self.changed(shape=[first["shape"][0] + 1] + first["shape"][1:]))
        self.assert_refused(400, first["name"], self.post, self.changed(shape=[-1] + first["shape"][1:]))
        self.assert_refused(400, first["name"], self.post, self.changed(shape=[2 ** 62] + first["shape"][1:]))
        self.assert_refused(400, first["name"], self.post, self.changed(shape=[]))
        self.assert_refused(400, first["name"], self.post, self.changed(data=first["data"][:-1]))
        self.assert_refused(400, first["name"], self.post, self.changed(data=[{"a": 1}] * len(first["data"])))
        self.assert_refused(400, "datatype 'FLOAT'", self.post, self.changed(datatype="FLOAT"))
        self.assert_refused(400, "inputs", self.client.infer, MODEL, [])

    def test_binary_data_that_does_not_fit(self):
        for change in (lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: b""):
            made = inputs()
            made[0]._raw_data = change(made[0]._raw_data)
            self.assert_refused(400, "", self.client.infer, MODEL, made)
            made[0]._parameters["binary_data_size"] = len(made[0]._raw_data)
            self.assert_refused(400, SAMPLE.inputs[0]["name"], self.client.infer, MODEL, made)
        for size in (-1, 2 ** 63 - 1, 2 ** 64 - 1, 10 ** 12):
            made = inputs()
            made[0]._parameters["binary_data_size"] = size
            self.assert_refused(400, "binary_data_size", self.client.infer, MODEL, made)


class OneModelOnly(Connected):
    def test_what_is_not_there(self):
        one = triton.InferInput(SAMPLE.inputs[0]["name"], SAMPLE.inputs[0]["shape"], SAMPLE.inputs[0]["datatype"])
        one.set_shared_memory("region", 16)
        self.assert_refused(400, "shared memory", self.client.infer, MODEL, [one] + inputs()[1:])
        self.assert_refused(400, "classification", self.client.infer, MODEL, inputs(),
                            outputs=[triton.InferRequestedOutput(self.outputs[0], class_count=2)])
        for call in (lambda: self.client.get_model_config(MODEL), lambda: self.client.get_inference_statistics(MODEL),
                     self.client.get_trace_settings, self.client.get_log_settings,
                     self.client.get_system_shared_memory_status, self.client.get_cuda_shared_memory_status,
                     lambda: self.client.register_system_shared_memory("r", "k", 16)):
            self.assert_refused(404, "no such path", call)

    def test_models_come_from_training_alone(self):
        self.assert_refused(409, "is live", self.client.unload_model, MODEL)
        self.assert_refused(409, "is live", self.client.unload_model, MODEL, unload_dependents=True)
        self.assertTrue(self.client.is_model_ready(MODEL))
        self.assert_refused(400, "config", self.client.load_model, MODEL, config=json.dumps({"name": MODEL}))
        self.assert_refused(404, "no such model", self.client.load_model, "no such model")
        self.assert_refused(404, "no such model", self.client.unload_model, "no such model")

    def test_left_out_inputs_are_named(self):
        if len(SAMPLE.inputs) == 1:
            return  # a vector must be given
        result = self.client.infer(MODEL, inputs()[1:])
        self.assertIn(SAMPLE.inputs[0]["name"], result.get_response()["parameters"]["missing_inputs"].split(","))


if __name__ == "__main__":
    sample.run("__main__")

"""The KServe SDK's REST client, as it is, against a running server: every call that it has, JSON and binary tensors both
ways, errors.

  python kserve_rest.py --url localhost:8080 --model flights --sample flights.json
"""
import asyncio
import unittest

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

import sample

NAME = "the KServe SDK"
URL = MODEL = SAMPLE = ANY_WORDS = ACCESS = None  # set by sample.run


def send_token(request):
    request.headers.update(ACCESS.headers)
    return request


def how():
    """What httpx takes, of which the SDK is made."""
    return {"verify": ACCESS.context() or True, "auth": send_token}


def inputs(binary=True):
    """The sample as the SDK's inputs; `binary` True, False, or "mixed". FP16 it sends in binary alone."""
    made = []
    for index, (name, (datatype, array)) in enumerate(SAMPLE.arrays().items()):
        tensor = InferInput(name, list(array.shape), datatype)
        as_binary = index % 2 == 0 if binary == "mixed" else binary
        tensor.set_data_from_numpy(array, binary_data=as_binary or datatype == "FP16")
        made.append(tensor)
    return made


def request(binary=True, tensors=None, **named):
    return InferRequest(MODEL, inputs(binary) if tensors is None else tensors, **named)


class Connected(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.base = f"{ACCESS.scheme}://{URL}"
        self.client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, **how()))
        self.addAsyncCleanup(self.client.close)

    async def infer(self, data, **named):
        return await self.client.infer(self.base, data, model_name=MODEL, **named)

    async def want(self):
        """What plain JSON through httpx gives, apart from the SDK."""
        async with httpx.AsyncClient(**how()) as plain:
            answer = await plain.post(f"{self.base}/v2/models/{MODEL}/infer", json=SAMPLE.request)
        self.assertEqual(answer.status_code, 200, answer.text)
        return {output["name"]: output["data"] for output in answer.json()["outputs"]}

    def assert_same(self, response, want, names=None):
        self.assertEqual([output.name for output in response.outputs], list(names or want))
        for output in response.outputs:
            data = output.data
            if output.datatype == "FP32":  # JSON has the shortest text of each float
                np.testing.assert_array_equal(np.array(data, dtype=np.float32).ravel(),
                                              np.array(want[output.name], dtype=np.float32))
            else:
                self.assertEqual(list(data), want[output.name])

    async def assert_refused(self, status, words, call):
        with self.assertRaises(httpx.HTTPStatusError) as caught:
            await call
        self.assertEqual(caught.exception.response.status_code, status)
        if not ANY_WORDS:
            self.assertIn(words, str(caught.exception))


class Protocol(Connected):
    async def test_health(self):
        self.assertIs(await self.client.is_server_live(self.base), True)
        self.assertIs(await self.client.is_server_ready(self.base), True)
        self.assertIs(await self.client.is_model_ready(self.base, MODEL), True)
        self.assertIs(await self.client.is_model_ready(self.base, "nonsense"), False)

    async def test_inputs_in_every_form(self):
        want = await self.want()
        for binary in (True, False, "mixed"):
            with self.subTest(binary=binary):
                self.assert_same(await self.infer(request(binary)), want)

    async def test_a_plain_dictionary(self):
        self.assert_same(await self.infer(SAMPLE.request), await self.want())

    async def test_outputs_in_every_form(self):
        want = await self.want()
        for binary in (True, False):
            self.assert_same(await self.infer(request(parameters={"binary_data_output": binary})), want)
            for each in (True, False):
                outputs = [RequestedOutput(name, {"binary_data": each}) for name in want]
                self.assert_same(
                    await self.infer(request(parameters={"binary_data_output": binary}, request_outputs=outputs)), want)

    async def test_outputs_in_the_order_asked_for(self):
        want = await self.want()
        names = list(want)[::-1]
        response = await self.infer(request(request_outputs=[RequestedOutput(name) for name in names]))
        self.assert_same(response, want, names)
        response = await self.infer(request(request_outputs=[RequestedOutput(names[0])]))
        self.assert_same(response, want, names[:1])

    async def test_id_and_model(self):
        response = await self.infer(request(request_id="42"))
        self.assertEqual((response.id, response.model_name), ("42", MODEL))
        self.assertTrue((await self.infer(request())).id)  # the SDK makes one up

    async def test_headers_of_the_answer(self):
        headers = {}
        await self.infer(request(parameters={"binary_data_output": True}), response_headers=headers)
        self.assertEqual(headers["content-type"], "application/octet-stream")
        self.assertGreater(int(headers["inference-header-content-length"]), 0)
        headers = {}
        await self.infer(request(), response_headers=headers, headers={"x-mine": "y"})
        self.assertEqual(headers["content-type"], "application/json")

    async def test_large_batches_come_compressed(self):
        want = await self.want()
        tensors = []
        for name, (datatype, array) in SAMPLE.arrays().items():
            array = np.resize(array, (1000,) + array.shape[1:])
            tensors.append(InferInput(name, list(array.shape), datatype))
            tensors[-1].set_data_from_numpy(array)
        headers = {}
        for binary in (True, False):
            response = await self.infer(request(tensors=tensors, parameters={"binary_data_output": binary}),
                                        response_headers=headers)
            self.assertEqual(headers["content-encoding"], "gzip")
            for output in response.outputs:
                repeated = (want[output.name] * 1000)[:len(output.data)]
                if output.datatype == "FP32":
                    np.testing.assert_array_equal(np.array(output.data, dtype=np.float32).ravel(),
                                                  np.array(repeated, dtype=np.float32))
                else:
                    self.assertEqual(list(output.data), repeated)

    async def test_many_requests_at_a_time(self):
        want = await self.want()
        for response in await asyncio.gather(*[self.infer(request(i % 2 == 0)) for i in range(50)]):
            self.assert_same(response, want)


class Errors(Connected):
    async def test_unknown_model(self):
        call = self.client.infer(self.base, request(), model_name="nonsense")
        await self.assert_refused(404, "there is no model 'nonsense'", call)

    async def test_unknown_tensors(self):
        tensor = InferInput("nonsense", [1], "FP32", data=[1.0])
        await self.assert_refused(400, "there is no input 'nonsense'", self.infer(request(tensors=[tensor])))
        outputs = [RequestedOutput("nonsense")]
        await self.assert_refused(400, "there is no output 'nonsense'", self.infer(request(request_outputs=outputs)))

    async def test_tensors_that_do_not_fit(self):
        first = SAMPLE.inputs[0]
        for fields in ({"shape": []}, {"shape": [-1]}, {"shape": [2 ** 62, 1]}, {"data": first["data"] * 2},
                       {"datatype": "FLOAT"}, {"data": None}, {"data": "text"}, {"shape": None},
                       {"parameters": {"binary_data_size": 8}}):
            changed = dict(SAMPLE.request, inputs=[dict(first, **fields)] + SAMPLE.inputs[1:])
            await self.assert_refused(400, f"input '{first['name']}'", self.infer(changed))

    async def test_binary_data_that_does_not_fit(self):
        tensors = inputs()
        tensors[0]._raw_data = tensors[0]._raw_data[:-1]
        await self.assert_refused(400, "", self.infer(request(tensors=tensors)))
        tensors = inputs()
        tensors[0].parameters["binary_data_size"] = 10 ** 15
        await self.assert_refused(400, "binary_data_size", self.infer(request(tensors=tensors)))

    async def test_bodies_that_are_no_request(self):
        for data in ({}, {"inputs": []}, {"inputs": 7}, {"inputs": [[]]}, {"inputs": [{}]},
                     dict(SAMPLE.request, parameters=7), dict(SAMPLE.request, id=7), dict(SAMPLE.request, outputs=7)):
            await self.assert_refused(400, "", self.infer(data))


if __name__ == "__main__":
    sample.run("__main__")

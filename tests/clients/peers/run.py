"""Runs the suites of tests/clients against Triton or MLServer with the model of shapes.json, for comparison.

  bench/peers/setup.sh triton mlserver
  python3 tests/clients/peers/run.py triton|mlserver

Prints which tests of the classes Protocol and Errors fail there. The servers and clients come from $FRESHET_CACHE
(default ~/.cache/freshet).
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
PATIENCE_S = 60

TRITON_CONFIG = """name: "shapes"
backend: "python"
max_batch_size: 0
input [{name: "pixels", data_type: TYPE_FP32, dims: [-1, 6]}]
output [{name: "prediction", data_type: TYPE_STRING, dims: [-1]},
        {name: "probability", data_type: TYPE_FP32, dims: [-1, 3]}]
"""

MLSERVER_MODEL = {
    "name": "shapes", "implementation": "mlserver_model.Shapes", "platform": "python", "parameters": {"version": "1"},
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 6]}],
    "outputs": [{"name": "prediction", "datatype": "BYTES", "shape": [-1]},
                {"name": "probability", "datatype": "FP32", "shape": [-1, 3]}]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_triton(folder, port):
    home = next((CACHE / "peers/triton/lib").glob("python3*/site-packages/pytriton/tritonserver"))
    repository = folder / "models"
    model = repository / "shapes"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(TRITON_CONFIG)
    shutil.copy(HERE / "triton_model.py", model / "1/model.py")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    backend = folder / "backends"
    shutil.copytree(home / "backends", backend)
    shutil.copy(home / "python_backend_stubs" / version / "triton_python_backend_stub", backend / "python")
    libraries = [home.parent.parent / "nvidia_pytriton.libs", home / "external_libs"]
    # The Python in it finds its packages from the first python3 on the way.
    path = f"{CACHE}/peers/triton/bin:{os.environ.get('PATH', '')}"
    environment = dict(os.environ, SHAPES_FOLDER=str(HERE), PATH=path,
                       LD_LIBRARY_PATH=":".join(map(str, libraries)))
    return subprocess.Popen(
        [home / "bin/tritonserver", f"--model-repository={repository}", f"--backend-directory={backend}", "--allow-grpc=false",
         "--allow-metrics=false", f"--http-port={port}", "--model-control-mode=explicit", "--load-model=shapes"],
        env=environment, stdout=open(folder / "log", "wb"), stderr=subprocess.STDOUT)


def start_mlserver(folder, port):
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
        "parallel_workers": 0, "gzip_enabled": True}))
    (folder / "model-settings.json").write_text(json.dumps(MLSERVER_MODEL))
    shutil.copy(HERE / "mlserver_model.py", folder)
    return subprocess.Popen([CACHE / "peers/mlserver/bin/mlserver", "start", str(folder)], cwd=folder,
                            env=dict(os.environ, SHAPES_FOLDER=str(HERE)), stdout=open(folder / "log", "wb"),
                            stderr=subprocess.STDOUT)


def wait_until_ready(server, port):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/shapes/ready") as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.2)
    return False


def main():
    peer = sys.argv[1]
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = {"triton": start_triton, "mlserver": start_mlserver}[peer](folder, port)
        try:
            if not wait_until_ready(server, port):
                sys.exit(f"{peer} does not answer:\n{(folder / 'log').read_text()[-3000:]}")
            for client, suite in (("triton", "triton_http.py"), ("kserve", "kserve_rest.py")):
                done = subprocess.run(
                    [CACHE / "clients" / client / "bin/python", "-B", HERE.parent / suite, "--url", f"127.0.0.1:{port}",
                     "--model", "shapes", "--sample", HERE.parent / "shapes.json", "--only", "Protocol,Errors", "--any-words"],
                    capture_output=True, text=True, timeout=300, check=False)
                if "-v" in sys.argv:
                    print(done.stdout, (folder / "log").read_text()[-6000:])
                failed = sorted(set(re.findall(r"^(?:FAIL|ERROR): (\w+) \(__main__\.(\w+)", done.stdout, re.M)))
                run = re.search(r"^(\d+) tests of", done.stdout, re.M)
                print(f"{peer}, {suite}: {int(run[1]) - len(failed)} of {run[1]} pass")
                for test, group in failed:
                    print(f"  fails: {group}.{test}")
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()

"""Models in ComfyUI's folders: its own Wan nodes and ours on the same tiny files, many files, a hub that is out of
reach, and memory that is freed from the menu in mid-workflow."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from prompts import said, template
from server import STAND_INS, Server, error_of

from spatialalign_core.models.families import families
from tests.tiny_models import make_transformer, make_umt5, make_vae, umt5_file, vae_file, write

BEST = "Best of N with ComfyUI's own Wan nodes"
COLLECT = "Collect samples from ComfyUI's own Wan nodes"
LOAD = "SpatialAlign_LoadVideoModel"
WAN = "wan2.1_t2v_1.3B_fp16.safetensors"
SMALL = {
    "EmptyHunyuanLatentVideo": {"width": 64, "height": 64, "length": 5},
    "KSampler": {"steps": 2},
    "SpatialAlign_LoadDetector": {"detector": "pocket"},
    "SpatialAlign_PromptFromSentence": {
        "sentence": "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."
    },
}
MANY = 200


class Ear(threading.Thread):
    """A port to which the server's way to the network is led; counts who comes and lets nobody through."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.heard: list[str] = []

    def run(self) -> None:
        while True:
            line, _ = self._socket.accept()
            self.heard.append(line.recv(200).decode(errors="replace").split("\r")[0])
            line.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"


@pytest.fixture(scope="module")
def ear() -> Ear:
    listening = Ear()
    listening.start()
    return listening


@pytest.fixture(scope="module")
def server(comfyui: Path, ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ComfyUI with tiny Wan files where its own templates look for them, and many other files beside them."""
    base = tmp_path_factory.mktemp("models")
    family = next(each for each in families() if each.name == "wan2.1")
    models = base / "models"
    network = make_transformer(family, text_dim=4096, freq_dim=256)
    write(models / "diffusion_models" / WAN, family.names.to_native(network.state_dict()))
    write(
        models / "vae" / "wan_2.1_vae.safetensors",
        vae_file("Wan2.1 VAE", family, make_vae("Wan2.1 VAE", family)),
    )
    umt5 = make_umt5(width=4096, d_ff=8)
    umt5_file(models / "text_encoders" / "umt5_xxl_fp8_e4m3fn_scaled.safetensors", umt5)
    for index in range(MANY):
        state = {f"joint_blocks.{n}.weight": torch.zeros(1) for n in range(100)}
        write(models / "diffusion_models" / f"other-{index}.safetensors", state)
    shutil.copytree(STAND_INS / "tiny_umt5", base / "custom_nodes" / "tiny_umt5")
    proxies = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    variables = {name: ear.url for each in proxies for name in (each, each.lower())}
    running = Server(
        comfyui, base, variables=variables | {"HF_HUB_OFFLINE": "0", "NO_PROXY": "", "no_proxy": ""}
    )
    running.start(timeout=600)
    try:
        yield running
    finally:
        running.stop()


def test_comfyuis_own_wan_nodes_make_the_videos(server: Server) -> None:
    """Both templates as they are, but small."""
    prompt = template(server, BEST, SMALL | {"PrimitiveInt": {"value": 2}})
    entry = server.run(prompt)
    assert sum("<- best" in line for line in said(entry, prompt, "SpatialAlign_PickBest").splitlines()) == 1
    for seed in (0, 1):
        prompt = template(server, COLLECT, SMALL | {"PrimitiveInt": {"value": seed}})
        entry = server.run(prompt)
        assert "with latents" in said(entry, prompt, "SpatialAlign_CollectSample")
    assert "of 2 videos" in said(entry, prompt, "SpatialAlign_Score")
    names = {file.name for file in (server.base / "output" / "spatialalign" / "wan").rglob("samples/*/*/*")}
    assert {"0.mp4", "0.safetensors", "1.mp4", "1.safetensors"} <= names


def loading(model: str) -> dict[str, Any]:
    return {
        "1": {"class_type": LOAD, "inputs": {"model": model}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def test_the_same_files_load_here(server: Server) -> None:
    prompt = loading(WAN)
    text = said(server.run(prompt), prompt, LOAD)
    assert text.startswith("Wan2.1 T2V of 2 layers, 128 wide, with wan_2.1_vae.safetensors, umt5_xxl")


def test_of_many_models_only_fitting_ones_are_listed(server: Server) -> None:
    """What the front end asks for when it opens, and again whenever somebody presses R; how long it takes is told."""
    server.get(f"/object_info/{LOAD}")
    before = time.perf_counter()
    answer = server.get(f"/object_info/{LOAD}")
    print(f"{time.perf_counter() - before:.2f} s for {MANY} other files")
    options = answer[LOAD]["input"]["required"]["model"]
    names = options[0] if isinstance(options[0], list) else options[1]["options"]
    assert WAN in names and not any(name.startswith("other-") for name in names)


def test_a_hub_out_of_reach_is_said(server: Server, ear: Ear) -> None:
    assert not [each for each in ear.heard if "huggingface" in each]  # nobody asked so far
    message = error_of(server.wait(server.queue(loading("download Wan-AI/Wan2.1-T2V-1.3B-Diffusers"))))
    assert "Hugging Face could not be reached for Wan-AI/Wan2.1-T2V-1.3B-Diffusers" in message
    assert "try again when the network is back, or copy the model's folder to" in message
    assert [each for each in ear.heard if "huggingface" in each]


@pytest.mark.parametrize("how", [{"unload_models": True}, {"unload_models": True, "free_memory": True}])
def test_memory_freed_in_mid_workflow(server: Server, how: dict[str, bool]) -> None:
    """The running prompt ends as if nothing had been, and the next one finds its model again."""
    folder = f"freed-{len(how)}"
    prompt = template(server, "Quickstart", {"SpatialAlign_Generate": {"run_folder": folder, "steps": 8}})
    generate = next(n for n, node in prompt.items() if node["class_type"] == "SpatialAlign_Generate")
    keep = {"SpatialAlign_Generate", "SpatialAlign_PromptSet", LOAD}
    prompt = {n: node for n, node in prompt.items() if node["class_type"] in keep}
    prompt["900"] = {"class_type": "PreviewImage", "inputs": {"images": [generate, 1]}}
    sets = next(node["inputs"] for node in prompt.values() if node["class_type"] == "SpatialAlign_PromptSet")
    sets |= {"train_prompts": 12, "held_out_prompts": 6}
    prompt[generate]["inputs"]["seeds"] = 1
    number = server.queue(prompt)
    videos = server.base / "output" / "spatialalign" / folder / "samples"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not list(videos.rglob("*.mp4")):
        time.sleep(0.1)
    assert server.post("/free", how)[0] == 200
    assert server.wait(number)["status"]["status_str"] == "success"
    made = len(list(videos.rglob("*.mp4")))
    assert server.post("/free", how)[0] == 200
    prompt[generate]["inputs"]["seeds"] = 2
    server.run(prompt)
    assert len(list(videos.rglob("*.mp4"))) == 2 * made > 0

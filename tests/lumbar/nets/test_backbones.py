import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from huggingface_hub import constants as hub

from lumbar.cli import UserError
from lumbar.nets import backbones
from lumbar.nets.backbones import create_backbone, hub_reachable


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(backbones, "hub_reachable", lambda: False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))


@pytest.fixture(autouse=True)
def _ask_again():
    hub_reachable.cache_clear()
    yield
    hub_reachable.cache_clear()


def test_feature_maps():
    net = create_backbone("test_efficientnet", 5, False).eval()
    assert net(torch.zeros(2, 5, 64, 64)).shape == (2, net.num_features, 2, 2)


def test_weights_that_cannot_be_had_are_an_error_without_asking_for_them(offline, monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **options: asked.append(host) or [])
    with pytest.raises(
        UserError, match=r"'test_efficientnet': its pretrained weights cannot be had.*--pretrained False"
    ):
        create_backbone("test_efficientnet", 1, True)
    assert asked == []


def test_or_a_warning_where_that_is_asked_for(offline):
    with pytest.warns(UserWarning, match="'test_efficientnet': its pretrained weights cannot be had.*random weights"):
        net = create_backbone("test_efficientnet", 1, "fallback")
    assert net.conv_stem.in_channels == 1
    assert not hub.HF_HUB_OFFLINE


@pytest.mark.parametrize("name", ["efficientnetv2_rwt", "efficientnetv2_rw_t.ra3_in1k"])
def test_an_unknown_name_names_the_nearest(name):
    with pytest.raises(UserError, match=f"backbone '{name}'.*did you mean 'efficientnetv2_rw_t") as error:
        create_backbone(name, 1, True)
    assert error.value.status == 2


def test_a_refused_connection_is_an_unreachable_hub(monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    assert not hub_reachable()


def test_any_answer_is_a_reachable_hub(monkeypatch):
    class NotFound(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), NotFound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    assert hub_reachable()
    server.shutdown()


def test_the_clients_own_offline_switch_is_honoured(monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert not hub_reachable()

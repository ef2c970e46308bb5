"""Sending a folder, to a stand-in of the hub on this machine."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ff_mm.exporting.hub_folder import PushError, push

TOKEN = 'hf_this_is_secret'


class Hub(BaseHTTPRequestHandler):
    """Takes what huggingface_hub sends, and keeps it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        server = self.server
        server.asked.append((self.path, self.headers.get('Authorization'), body))
        if server.refuses:
            self._answer(403, dict(error=f'no rights for {TOKEN}'))
        elif self.path.endswith('/repos/create'):
            name = json.loads(body)['name']
            self._answer(200, dict(url=f'{server.address}/me/{name}', id=f'me/{name}'))
        elif '/preupload/' in self.path:
            files = [
                dict(path=f['path'], uploadMode='regular', shouldIgnore=False)
                for f in json.loads(body)['files']
            ]
            self._answer(200, dict(files=files))
        else:
            url = f'{server.address}/me/model/commit/0'
            self._answer(200, dict(commitUrl=url, commitOid='0', success=True))

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get('Authorization'), b''))
        self._answer(200, dict(id='me/model', sha='0', siblings=[]))

    def _answer(self, status, content):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = HTTPServer(('127.0.0.1', 0), Hub)
    server.asked, server.refuses = [], False
    server.address = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setenv('HF_TOKEN', TOKEN)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'README.md').write_text('a card')
    (tmp_path / 'model.safetensors').write_bytes(b'weights')
    return tmp_path


def visibility(created):
    """Of the repository that was asked for, as older and newer versions say it."""
    said = json.loads(created[0])
    private = said.get('private', said.get('visibility') == 'private')
    return 'private' if private else 'public'


def test_all_files_are_sent_to_a_private_repository(hub, folder, capfd):
    push(folder, 'me/model', endpoint=hub.address)
    created = [body for path, _, body in hub.asked if path.endswith('/create')]
    assert visibility(created) == 'private'
    commits = [body for path, _, body in hub.asked if '/commit/' in path]
    sent = {}
    for line in map(json.loads, commits[0].splitlines()):
        if line['key'] == 'file':
            content = base64.b64decode(line['value']['content'])
            sent[line['value']['path']] = content
    assert sent == {'README.md': b'a card', 'model.safetensors': b'weights'}
    assert any(TOKEN in (who or '') for _, who, _ in hub.asked)
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err


def test_it_is_public_if_asked_for(hub, folder):
    push(folder, 'me/model', public=True, endpoint=hub.address)
    created = [body for path, _, body in hub.asked if path.endswith('/create')]
    assert visibility(created) == 'public'


def test_what_the_hub_refuses_is_a_line_without_the_token(hub, folder):
    hub.refuses = True
    with pytest.raises(PushError, match='--push-to-hub me/model: ') as caught:
        push(folder, 'me/model', endpoint=hub.address)
    assert TOKEN not in str(caught.value) and '\n' not in str(caught.value)


def test_who_is_not_logged_in_is_told(hub, folder, monkeypatch):
    monkeypatch.setattr('huggingface_hub.get_token', lambda: None)
    with pytest.raises(PushError, match='nobody is logged in'):
        push(folder, 'me/model', endpoint=hub.address)
    assert not hub.asked

"""What a config leaves open is as the plan was begun."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from ff_mm.files import write_json
from ff_mm.fission.begun import begun_with, go_on_as_begun


def workers(tmp_path, old, new='auto'):
    if old is not None:
        config = dict(train_dataloader=dict(num_workers=old), val_dataloader=None)
        write_json(dict(config=config), tmp_path / 'ledger.json')
    loaders = dict(train_dataloader=dict(num_workers=new))
    cfg = Config(dict(loaders, work_dir=str(tmp_path)))
    go_on_as_begun(cfg)
    return cfg.train_dataloader.num_workers


@pytest.mark.parametrize(
    ('old', 'new', 'found'),
    [(4, 'auto', 4), ('auto', 'auto', 'auto'), (4, 8, 8), (None, 'auto', 'auto')],
)
def test_a_plan_keeps_the_number_of_workers_that_it_was_begun_with(
    tmp_path, old, new, found
):
    assert workers(tmp_path, old, new) == found


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"config": []}'])
def test_what_is_no_ledger_says_nothing(tmp_path, text):
    (tmp_path / 'ledger.json').write_text(text)
    assert begun_with(tmp_path) == {}
    assert workers(tmp_path, None) == 'auto'

from __future__ import annotations

import os
import pickle
from collections import Counter
from pathlib import Path

import pytest
from ham_files import CLASSES, read_table, write_image, write_table
from mmpretrain.registry import DATASETS

from ff_mm.datasets import HAM10000, DatasetError


def infos(dataset: HAM10000) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def values(dataset: HAM10000, key: str) -> list:
    return [info[key] for info in infos(dataset)]


def problems_of(root: Path, **kwargs: object) -> str:
    with pytest.raises(DatasetError) as caught:
        HAM10000(str(root), **kwargs)
    return str(caught.value)


def change_table(root: Path, change: object) -> None:
    path = root / 'HAM10000_metadata.csv'
    rows = read_table(path)
    change(rows)
    write_table(path, rows)


class TestDataverse:
    def test_every_case_is_read(self, dataverse):
        dataset = HAM10000(str(dataverse), split='all')
        assert len(dataset) == 140
        info = dataset.get_data_info(3)
        part_2 = dataverse / 'HAM10000_images_part_2'
        assert info['img_path'] == str(part_2 / 'ISIC_0000003.jpg')
        assert info['gt_label'] == CLASSES.index('bcc')
        assert info['group'] == 'HAM_0000001'
        assert info['image_id'] == 'ISIC_0000003'

    def test_splits_are_disjoint_complete_and_keep_lesions_together(self, dataverse):
        splits = [HAM10000(str(dataverse), split=s) for s in ('train', 'val', 'test')]
        ids = [image_id for split in splits for image_id in values(split, 'image_id')]
        assert len(ids) == len(set(ids)) == 140
        assert [len(split) for split in splits] == [112, 14, 14]
        lesions = [set(values(split, 'group')) for split in splits]
        assert sum(map(len, lesions)) == len(set.union(*lesions))

    def test_splits_are_stratified(self, dataverse):
        val = HAM10000(str(dataverse), split='val')
        assert Counter(values(val, 'gt_label')) == dict.fromkeys(range(7), 2)

    def test_split_depends_on_the_seed_only(self, dataverse):
        first, again, other = (
            values(HAM10000(str(dataverse), split='val', seed=seed), 'image_id')
            for seed in (0, 0, 1)
        )
        assert first == again != other

    def test_folds_set_the_shares(self, dataverse):
        sizes = [
            len(HAM10000(str(dataverse), split=split, shares=(3, 1, 1)))
            for split in ('train', 'val', 'test')
        ]
        assert sizes == [84, 28, 28]

    def test_sources_select_before_the_split(self, dataverse):
        splits = [
            HAM10000(
                str(dataverse), split=s, sources=['vidir_modern'], shares=(3, 1, 1)
            )
            for s in ('train', 'val', 'test')
        ]
        assert sum(map(len, splits)) == 70
        ood = HAM10000(str(dataverse), split='all', sources='rosendahl')
        assert len(ood) == 70
        in_domain = {i for split in splits for i in values(split, 'image_id')}
        assert in_domain.isdisjoint(values(ood, 'image_id'))

    def test_lesions_of_other_sources_are_left_out(self, dataverse):
        # The second image of lesion 0 was taken with the other equipment.
        change_table(dataverse, lambda rows: rows[2].__setitem__(7, 'rosendahl'))
        select = dict(split='all', sources=['rosendahl'])
        assert len(HAM10000(str(dataverse), **select)) == 71
        ood = HAM10000(str(dataverse), **select, exclude_lesions_of=['vidir_modern'])
        assert len(ood) == 70
        assert 'HAM_0000000' not in values(ood, 'group')

    @pytest.mark.parametrize(
        ('name', 'delimiter'),
        [('HAM10000_metadata', ','), ('HAM10000_metadata.tab', '\t')],
    )
    def test_table_under_its_other_names(self, dataverse, name, delimiter):
        rows = read_table(dataverse / 'HAM10000_metadata.csv')
        (dataverse / 'HAM10000_metadata.csv').unlink()
        write_table(dataverse / name, rows, delimiter)
        assert len(HAM10000(str(dataverse), split='all')) == 140

    def test_ids_with_an_extension(self, dataverse):
        def add_extension(rows: list[list[str]]) -> None:
            for row in rows[1:]:
                row[1] += '.jpg'

        change_table(dataverse, add_extension)
        dataset = HAM10000(str(dataverse), split='all')
        assert values(dataset, 'image_id')[0] == 'ISIC_0000000'
        (dataverse / 'own.txt').write_text('ISIC_0000003.jpg\nISIC_0000001\n')
        assert len(HAM10000(str(dataverse), image_list='own.txt')) == 2

    def test_image_list_decides_the_split_and_the_order(self, dataverse):
        (dataverse / 'ann').mkdir()
        lines = 'images/ISIC_0000009.jpg 4\n\nISIC_0000002\n'
        (dataverse / 'ann' / 'own.txt').write_text(lines)
        dataset = HAM10000(str(dataverse), image_list='ann/own.txt')
        assert values(dataset, 'image_id') == ['ISIC_0000009', 'ISIC_0000002']
        absolute = str(dataverse / 'ann' / 'own.txt')
        assert len(HAM10000(str(dataverse), image_list=absolute)) == 2

    def test_equal_copies_and_foreign_files_do_no_harm(self, dataverse):
        copy = dataverse / 'ham10000_images_part_1' / 'ISIC_0000000.jpg'
        write_image(copy, value=0)
        write_image(dataverse / '__MACOSX' / '._ISIC_0000001.jpg')
        write_image(dataverse / 'ISIC2018_Task3_Test_Images' / 'ISIC_9999999.jpg')
        assert len(HAM10000(str(dataverse), split='all')) == 140

    def test_linked_folders_are_followed_once(self, dataverse, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere') / 'images'
        part_1 = dataverse / 'HAM10000_images_part_1'
        part_1.rename(elsewhere)
        part_1.symlink_to(elsewhere)
        (elsewhere / 'loop').symlink_to(dataverse)
        assert len(HAM10000(str(dataverse), split='all')) == 140

    def test_class_order_can_be_given(self, dataverse):
        dataset = HAM10000(str(dataverse), split='all', classes=CLASSES[::-1])
        assert dataset.get_data_info(0)['gt_label'] == 6

    def test_builds_from_a_config_and_says_what_it_is(self, dataverse):
        config = dict(type='HAM10000', data_root=str(dataverse), split='all')
        text = repr(DATASETS.build(config))
        assert 'Number of samples: \t140' in text
        assert 'Split: \tall' in text


class TestIsic2018:
    def test_official_splits(self, isic2018):
        sizes = {
            split: len(HAM10000(str(isic2018), split=split))
            for split in ('train', 'val', 'test', 'all')
        }
        assert sizes == {'train': 14, 'val': 7, 'test': 7, 'all': 28}

    def test_labels_follow_the_column_names(self, isic2018):
        train = HAM10000(str(isic2018))
        # The columns are in the order MEL, NV, BCC, AKIEC, BKL, DF, VASC.
        assert values(train, 'gt_label')[:7] == [4, 5, 1, 0, 2, 3, 6]

    def test_lesions_are_known_for_training_only(self, isic2018):
        train, val = (HAM10000(str(isic2018), split=s) for s in ('train', 'val'))
        assert values(train, 'group')[:3] == ['HAM_0000000'] * 2 + ['HAM_0000001']
        assert set(values(val, 'group')) == {None}
        (isic2018 / 'ISIC2018_Task3_Training_LesionGroupings.csv').unlink()
        assert set(values(HAM10000(str(isic2018)), 'group')) == {None}

    def test_tables_in_folders_of_their_own(self, isic2018):
        for split in ('Training', 'Validation', 'Test'):
            table = isic2018 / f'ISIC2018_Task3_{split}_GroundTruth.csv'
            (isic2018 / table.stem).mkdir()
            table.rename(isic2018 / table.stem / table.name)
        assert len(HAM10000(str(isic2018), split='all')) == 28

    def test_image_list_across_the_official_splits(self, isic2018):
        (isic2018 / 'own.txt').write_text('ISIC_0000001\nISIC_0000020\n')
        assert len(HAM10000(str(isic2018), image_list='own.txt')) == 2

    def test_own_list_needs_only_the_tables_that_are_there(self, isic2018):
        (isic2018 / 'own.txt').write_text('ISIC_0000001\n')
        (isic2018 / 'ISIC2018_Task3_Test_GroundTruth.csv').unlink()
        assert len(HAM10000(str(isic2018), image_list='own.txt')) == 1
        text = problems_of(isic2018, split='all')
        assert 'tables not found: 1 (ISIC2018_Task3_Test_GroundTruth.csv)' in text


class TestBadData:
    def test_no_such_folder(self, tmp_path):
        for form in (None, 'dataverse', 'isic2018'):
            text = problems_of(tmp_path / 'nowhere', form=form)
            assert '1 problem(s)' in text and 'no such folder. Set data_root' in text

    def test_no_table(self, tmp_path):
        text = problems_of(tmp_path)
        assert 'Neither ISIC2018_Task3_Training_GroundTruth.csv' in text

    def test_form_that_is_not_there(self, isic2018):
        text = problems_of(isic2018, form='dataverse')
        assert 'HAM10000_metadata.csv is not there' in text

    def test_both_forms(self, isic2018):
        table = isic2018 / 'HAM10000_metadata.csv'
        table.write_text('lesion_id,image_id,dx\nHAM_1,ISIC_0000000,mel\n')
        assert 'tables of both forms' in problems_of(isic2018)
        assert len(HAM10000(str(isic2018), form='isic2018')) == 14
        assert len(HAM10000(str(isic2018), form='dataverse', split='all')) == 1

    def test_missing_columns(self, dataverse):
        change_table(dataverse, lambda rows: rows[0].__setitem__(2, 'diagnosis'))
        text = problems_of(dataverse)
        assert "does not have: 1 ('dx'). It has [" in text
        assert text.count('\n') == 1

    def test_source_column_is_needed_only_to_choose_by_it(self, dataverse):
        change_table(dataverse, lambda rows: rows[0].__setitem__(7, 'set'))
        assert len(HAM10000(str(dataverse), split='all')) == 140
        text = problems_of(dataverse, sources=['rosendahl'])
        assert ': 1 problem(s)' in text and "does not have: 1 ('dataset'" in text

    def test_all_problems_in_one_message(self, dataverse):
        for number in range(4, 11):
            part = dataverse / f'HAM10000_images_part_{number % 2 + 1}'
            (part / f'ISIC_{number:07d}.jpg').unlink()
        write_image(dataverse / 'new' / 'ISIC_0000020.jpg')
        (dataverse / 'new' / 'ISIC_0000020.jpg').write_bytes(b'cut')

        def change(rows):
            rows[1][0] = ''
            rows[12][2] = 'scc'
            rows.append(rows[13])

        change_table(dataverse, change)
        text = problems_of(dataverse, split='all')
        assert text.startswith(f'HAM10000 in {str(dataverse)!r}: 5 problem(s) found')
        assert 'images without a lesion: 1 (ISIC_0000000). Fill in' in text
        assert 'stand in the table twice: 1 (ISIC_0000012). Leave' in text
        assert 'unknown classes in the table: 1 (scc). Known are' in text
        assert (
            'images without a file: 7 (ISIC_0000004, ISIC_0000005, ISIC_0000006, '
            'ISIC_0000007, ISIC_0000008, ...). Unpack' in text
        )
        assert 'several files of different content: 1 (ISIC_0000020). Leave' in text

    def test_only_the_chosen_images_must_be_there(self, dataverse):
        (dataverse / 'own.txt').write_text('ISIC_0000001\n')
        (dataverse / 'HAM10000_images_part_1' / 'ISIC_0000000.jpg').unlink()
        assert len(HAM10000(str(dataverse), image_list='own.txt')) == 1

    def test_bad_image_list(self, dataverse):
        text = problems_of(dataverse, image_list='absent.txt', sources=['rosendahl'])
        assert "absent.txt' does not exist" in text
        assert 'the list alone decides' in text
        (dataverse / 'own.txt').write_text('a.jpg\nISIC_0000001\nISIC_0000001\n')
        text = problems_of(dataverse, image_list='own.txt')
        assert 'images listed twice: 1 (ISIC_0000001)' in text
        assert 'images listed but not in the table: 1 (a)' in text

    def test_unknown_source(self, dataverse):
        text = problems_of(dataverse, sources=['vienna'])
        assert 'sources not in the table: 1 (vienna). The table has' in text

    def test_nothing_left(self, dataverse):
        every = ['vidir_modern', 'rosendahl']
        text = problems_of(dataverse, split='all', exclude_lesions_of=every)
        assert 'No image is left' in text
        (dataverse / 'own.txt').write_text('\n')
        assert 'No image' in problems_of(dataverse, image_list='own.txt')

    def test_too_few_images_to_split(self, dataverse):
        change_table(dataverse, lambda rows: rows.__delitem__(slice(4, None)))
        assert '3 images cannot be split' in problems_of(dataverse)

    def test_table_without_rows(self, dataverse):
        change_table(dataverse, lambda rows: rows.__delitem__(slice(1, None)))
        assert 'has no row below the names' in problems_of(dataverse)

    def test_rows_that_are_not_one_hot(self, isic2018):
        path = isic2018 / 'ISIC2018_Task3_Training_GroundTruth.csv'
        rows = read_table(path)
        rows[1][1:3] = ['1.0', '1.0']
        rows[2][1:] = ['0.0'] * 7
        write_table(path, rows)
        text = problems_of(isic2018)
        assert 'without exactly one class: 2 (ISIC_0000000, ISIC_0000001)' in text

    def test_sources_of_isic2018(self, isic2018):
        text = problems_of(isic2018, sources=['rosendahl'])
        assert 'need the Dataverse form' in text

    @pytest.mark.parametrize(
        'wrong', [dict(split='dev'), dict(form='kaggle'), dict(shares=(9, 1))]
    )
    def test_wrong_arguments(self, dataverse, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            HAM10000(str(dataverse), **wrong)

    def test_error_survives_pickling(self):
        error = DatasetError('x', ['one', 'two'])
        copy = pickle.loads(pickle.dumps(error))
        assert str(copy) == str(error) == 'x: 2 problem(s) found\n  1. one\n  2. two'
        assert str(DatasetError('plain')) == 'plain'


def test_home_is_expanded(dataverse, monkeypatch):
    monkeypatch.setenv('HOME', os.path.dirname(dataverse))
    dataset = HAM10000(f'~/{os.path.basename(dataverse)}', split='all')
    assert len(dataset) == 140


class TestTestSet:
    TABLE = 'ISIC2018_Task3_Test_GroundTruth.csv'

    def test_the_synthetic_image_may_lack_its_file(self, isic2018):
        rows = read_table(isic2018 / self.TABLE)
        write_table(isic2018 / self.TABLE, [*rows, ['ISIC_0035068', *rows[2][1:]]])
        dataset = HAM10000(str(isic2018), split='test')
        assert len(dataset) == 7
        assert any('ISIC_0035068 of the test set' in note for note in dataset.notes)
        write_image(isic2018 / 'ISIC2018_Task3_Test_Input' / 'ISIC_0035068.jpg')
        assert len(HAM10000(str(isic2018), split='test')) == 8

    @pytest.mark.parametrize('extension', ['csv', 'tab'])
    def test_the_table_of_the_dataverse(self, isic2018, extension):
        diagnoses = values(HAM10000(str(isic2018), split='test'), 'gt_label')
        ids = [row[0] for row in read_table(isic2018 / self.TABLE)[1:]]
        (isic2018 / self.TABLE).unlink()
        rows = [['lesion_id', 'image_id', 'dx', 'dx_type', 'dataset']]
        rows += [
            [f'HAMTEST_{i // 2}', name, CLASSES[label], 'histo', 'vidir_modern']
            for i, (name, label) in enumerate(zip(ids, diagnoses, strict=True))
        ]
        table = (isic2018 / self.TABLE).with_suffix(f'.{extension}')
        write_table(table, rows, '\t' if extension == 'tab' else ',')
        dataset = HAM10000(str(isic2018), form='isic2018', split='test')
        assert values(dataset, 'gt_label') == diagnoses
        assert values(dataset, 'group')[:3] == ['HAMTEST_0', 'HAMTEST_0', 'HAMTEST_1']

    def test_it_is_not_the_test_set_of_the_dataverse_form_which_is_said(
        self, dataverse
    ):
        assert len(HAM10000(str(dataverse)).notes) == 1
        write_table(dataverse / self.TABLE, [['lesion_id', 'image_id', 'dx']])
        first, _ = HAM10000(str(dataverse)).notes
        assert self.TABLE in first and "form='isic2018'" in first

    def test_what_was_published(self, isic2018):
        published = {n: p.rows for n, p in HAM10000.PUBLISHED.items() if '.csv' in n}
        assert published == {
            'HAM10000_metadata.csv': 10015,
            'ISIC2018_Task3_Training_GroundTruth.csv': 10015,
            'ISIC2018_Task3_Validation_GroundTruth.csv': 193,
            'ISIC2018_Task3_Test_GroundTruth.csv': 1511,
        }
        (note,) = HAM10000(str(isic2018)).notes
        assert 'has 14 rows, 10,015 were published' in note
        assert 'nv 2 (6,705)' in note

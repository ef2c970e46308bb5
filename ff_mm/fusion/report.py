"""``report.json`` and ``report.md``: what a soup is made of and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.display.escaping import markdown
from ff_mm.display.numbers import by_class, overall, shown
from ff_mm.files import atomic_write, write_json
from ff_mm.fusion.decision import by_set, describe_step

FORMAT = 1


def write_report(report: Mapping[str, Any], work_dir: str | Path) -> None:
    """Writes the report of one soup, for programs and for people.

    Args:
        report: What :meth:`ff_mm.fusion.soup_runner.SoupRunner.run` returns. Metrics
            are fractions.
        work_dir: The folder to write to.
    """
    write_json(dict(format=FORMAT, **report), Path(work_dir) / 'report.json')
    with atomic_write(Path(work_dir) / 'report.md', 'w') as file:
        file.write('\n'.join(_markdown(report)) + '\n')


def _markdown(report: Mapping[str, Any]) -> Iterator[str]:
    ensemble = report.get('ensemble')
    yield f'# {markdown(report["title"])}' + ('' if ensemble else ' soup')
    yield ''
    if ensemble:
        yield from _ensemble(ensemble)
    yield (
        f'Selected by {markdown(report["metric"])} on validation '
        f'({report["rule"]} is better) '
        f'from {report["pool_size"]} ingredients in {report["seconds"]:.1f} s, '
        f'{report["evaluations"]["selection"]} validation passes for the selection, '
        f'{report["evaluations"]["stopped"]} of them cut short'
        + _gradients(report['evaluations'])
        + _training(report['evaluations'])
        + _in_vain(report['evaluations'])
        + _for_basins(report['evaluations'])
    )
    if margin := report.get('margin'):
        yield ''
        yield _margin(margin)
    yield ''
    yield from _metrics_table(report)
    if report.get('best_single'):
        yield from _best_single(report)
    yield from _class_tables(report)
    if report.get('folds'):
        yield from _folds(report)
    if report.get('decision'):
        yield from _decision(report)
    if report['bn_reestimation']:
        yield from _batch_norm(report['bn_reestimation'])
    yield from _statistics(report.get('statistics') or ())
    yield ''
    yield '| ingredient | weight |'
    yield '|---|---|'
    for item in report['ingredients']:
        # What was merged, and not added, has no weight.
        weight = '' if item['weight'] is None else f'{item["weight"]:.4f}'
        yield f'| {markdown(item["name"])} | {weight} |'
    yield from _merges(report)
    if report.get('basins'):
        yield from _basins(report['basins'])
    if report.get('copies'):
        yield ''
        yield 'Left out, as their weights are those of another ingredient:'
        yield ''
        for copy in report['copies']:
            yield f'- {markdown(copy["name"])}, a copy of {markdown(copy["of"])}'
    if report.get('failed'):
        yield ''
        yield 'Not in the pool, as these trials have failed:'
        yield ''
        for failure in report['failed']:
            yield f'- {markdown(failure["trial"])}: {markdown(failure["reason"])}'


def _ensemble(ensemble: Mapping[str, Any]) -> Iterator[str]:
    """Says what is averaged, and what that costs wherever it is used."""
    number = len(ensemble['members'])
    yield (
        f'The mean of the {ensemble["average"]} of {number} models, in one file: at '
        f'inference {number} passes an image and {ensemble["parameters"]:,} '
        'parameters. It is no soup, and stock MMPretrain cannot load it: ff_mm must be '
        'installed where it is used.'
    )
    yield ''
    yield '| member | weight |'
    yield '|---|---|'
    for member in ensemble['members']:
        yield f'| {markdown(member["name"])} | {member["weight"]:.4f} |'
    yield ''


def _best_single(report: Mapping[str, Any]) -> Iterator[str]:
    """Says what the soup has to beat, unless it is that."""
    single = report['best_single']
    name = markdown(single['name'])
    yield ''
    if [each['name'] for each in report['ingredients']] == [single['name']]:
        yield f'This is the best single model on validation, {name}, and no average.'
        return
    if len(report['ingredients']) == 1:
        only = markdown(report['ingredients'][0]['name'])
        yield f'This is one model, {only}, and no average.'
    yield (
        f'For comparison, the best single model on validation, {name}. Whether a '
        'difference means anything is what tools/compare.py says:'
    )
    yield ''
    yield from _metrics_table(single)


def _merges(report: Mapping[str, Any]) -> Iterator[str]:
    """Says how weights were combined, and of what was searched what was chosen."""
    merges = [level['merge'] for level in report['levels'] if 'merge' in level]
    if not merges:
        return
    yield ''
    yield 'Combined by, from the bottom to the top; lists were tried on validation:'
    yield ''
    for level in report['levels']:
        yield f'- {level["soup"]}: {markdown(merge_text(level.get("merge")))}'
    yield ''
    yield '| soup | members combined by |'
    yield '|---|---|'
    for soup in _soups(report['tree']):
        how = markdown(merge_text(soup.get('merge')))
        yield f'| {markdown(soup["name"])} | {how} |'


def _soups(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Lists the soups of a tree that have several members, the top one first."""
    if len(node.get('members', ())) > 1 or 'merge' in node:
        yield node
    for below in [*node.get('members', ()), *node.get('rejected', ())]:
        yield from _soups(below)


def merge_text(merge: Mapping[str, Any] | None) -> str:
    """Writes how members are combined: ``'ties, keep=0.2'``."""
    if merge is None:
        return 'mean'
    options = [f'{name}={value}' for name, value in merge.items() if name != 'type']
    return ', '.join([merge['type'], *options])


def _batch_norm(bn: Mapping[str, Any]) -> Iterator[str]:
    yield ''
    if bn['before'] is None:
        yield f'Batch norm was re-estimated on {bn["num_samples"]} images.'
        return
    yield f'Before batch-norm re-estimation on {bn["num_samples"]} images:'
    yield ''
    yield from _metrics_table(bn['before'])


def _statistics(statistics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in statistics:
        yield ''
        passes = one['backward_passes']
        sums = [member['sum'] for member in one['members']]
        yield (
            f'{one["title"]} on {one["num_samples"]} training images: '
            f'{one["made"]} models, '
            + (f'{passes} backward passes, ' if passes else '')
            + f'{one["seconds"]:.1f} s; {len(sums)} needed, '
            f'with sums from {min(sums):.3g} to {max(sums):.3g}.'
        )


def _folds(report: Mapping[str, Any]) -> Iterator[str]:
    folds, metric = report['folds'], report['metric']
    low, high = folds['intervals'].get(metric, (None, None))
    yield ''
    yield (
        f'Validation is out of fold: each image of the {folds["number"]} folds was '
        'predicted by models that have not seen it. '
        f'The {folds["confidence"]:.0%} interval of {markdown(metric)} is {shown(low)} '
        f'to {shown(high)}. The soup is the mean of the models of all folds and has '
        f'seen all of these images; on them it has {shown(folds["seen"].get(metric))}, '
        'which says nothing but that the mean holds. Recipes: '
        f'{markdown(", ".join(folds["recipes"]))}.'
    )
    yield ''
    rows = {
        name: {'value': report['val'].get(name), 'low': low, 'high': high}
        for name, (low, high) in folds['intervals'].items()
    }
    yield from _table(rows, ['value', 'low', 'high'], corner='out of fold')


def _decision(report: Mapping[str, Any]) -> Iterator[str]:
    decision, metric = report['decision'], report['metric']
    steps = '; '.join(describe_step(step) for step in decision['steps'])
    yield ''
    yield (
        f'A decision was fitted on validation and is part of the head: {steps}. The '
        'values of validation above are cross-fitted: each case is decided on by what '
        'was fitted on others. The file itself gives '
        f'{markdown(metric)} {shown(decision["val_as_fitted"].get(metric))} there, '
        'which is too good.'
    )
    yield ''
    after, before = by_set(report), by_set(decision['before'])
    rows = {}
    for name, metrics in after.items():
        accuracy = decision['accuracy'][name]
        rows[name] = {
            f'{metric} before': before[name].get(metric),
            f'{metric} after': metrics.get(metric),
            'accuracy before': accuracy['before'],
            'accuracy after': accuracy['after'],
        }
    yield from _table(rows, list(rows['val']))
    yield ''
    yield 'Before the decision:'
    yield ''
    yield from _metrics_table(decision['before'])


def _basins(basins: Mapping[str, Any]) -> Iterator[str]:
    yield ''
    threshold = basins['threshold']
    limit = f', joined up to a barrier of {markdown(basins["metric"])} of {threshold}'
    limit = f', {basins["count"]} at most' if threshold is None else limit
    yield f'Groups are basins{limit} ({basins["linkage"]} linkage):'
    yield ''
    yield '| basin | ingredients |'
    yield '|---|---|'
    for number, names in basins['members'].items():
        yield f'| {number} | {markdown(", ".join(names))} |'


def _gradients(evaluations: Mapping[str, Any]) -> str:
    count = evaluations.get('gradients')
    return f', {count} gradients of the loss among them' if count else ''


def _margin(margin: Mapping[str, Any]) -> str:
    asked, refused = margin['asked'], margin['refused']
    if not asked:
        return 'A margin was asked for; no step scored better, so it had none to judge.'
    return (
        f'Of {asked} steps that scored better the margin refused {refused}: they were '
        'not better in enough resamples of validation.'
    )


def _training(evaluations: Mapping[str, Any]) -> str:
    count = evaluations.get('train')
    images = evaluations.get('images', {}).get('train')
    return f', batch norm re-estimated {count} times ({images} images)' if count else ''


def _in_vain(evaluations: Mapping[str, Any]) -> str:
    count = evaluations.get('in_vain')
    return f', {count} ahead and not needed.' if count else '.'


def _for_basins(evaluations: Mapping[str, Any]) -> str:
    count = evaluations.get('basins')
    return f' The basins took {count} more, if none was known before.' if count else ''


def _metrics_table(results: Mapping[str, Any]) -> Iterator[str]:
    sets = {'val': results['val'], 'test': results['test'], **results['ood']}
    sets = {name: metrics for name, metrics in sets.items() if metrics is not None}
    yield from _table(sets, overall(results['val']))


def _class_tables(results: Mapping[str, Any]) -> Iterator[str]:
    """One row a class or label, one column a set."""
    sets = {'val': results['val'], 'test': results['test'], **results['ood']}
    sets = {name: metrics for name, metrics in sets.items() if metrics is not None}
    classes = by_class(results['val'])
    for metric in dict.fromkeys(n.split('/')[0] for c in classes.values() for n in c):
        rows = {
            name: {s: metrics.get(f'{metric}/{name}') for s, metrics in sets.items()}
            for name in classes
        }
        yield ''
        yield from _table(rows, list(sets), corner=metric)


def _table(
    rows: Mapping[str, Mapping[str, Any]], columns: Sequence[str], corner: str = 'set'
) -> Iterator[str]:
    yield f'| {markdown(corner)} | ' + ' | '.join(map(markdown, columns)) + ' |'
    yield '|---|' + '---|' * len(columns)
    for name, values in rows.items():
        cells = (shown(values.get(column)) for column in columns)
        yield f'| {markdown(name)} | ' + ' | '.join(cells) + ' |'

"""Installs ff_mm; the OpenMMLab packages and torch come with an extra."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


def read_version() -> str:
    """Reads the version without importing the package, which would need torch."""
    text = (HERE / 'ff_mm' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def read_description() -> str:
    """Reads the README as it reads where none of its pictures and pages are.

    A package index knows no paths of a repository: pictures go, and of links to pages
    the text stays.
    """
    text = (HERE / 'README.md').read_text(encoding='utf-8')
    text = re.sub(
        r'^(!\[[^\n]*\]\([^)\n]*\)|<img [^\n]*>)\n+', '', text, flags=re.MULTILINE
    )
    return re.sub(r'(?<!!)\[([^]\n]+)\]\((?!https?://)([^)\n]+)\)', r'\1', text)


class BuildWithConfigs(build_py):
    """Puts configs and tools into the wheel, where OpenMMLab's packages have them."""

    def run(self) -> None:
        """Builds the package, and copies them beside it."""
        super().run()
        if self.editable_mode:  # they are found in the checkout
            return
        target = Path(self.build_lib) / 'ff_mm' / '.mim'
        shutil.rmtree(target, ignore_errors=True)  # what an earlier build has left
        skipped = shutil.ignore_patterns('__pycache__', 'benchmarks')
        for name in ('configs', 'tools'):
            shutil.copytree(HERE / name, target / name, ignore=skipped)
        shutil.copy(HERE / 'model-index.yml', target)


TORCH = ['torch>=2.6', 'torchvision']

EXTRAS = {
    # mmcv-lite, since classification needs none of mmcv's compiled operators.
    # mmpretrain 1.2.0 asserts mmcv < 2.4. mmengine imports pkg_resources, which
    # setuptools 82 no longer has and about which 80.9 began to warn on every run.
    'openmmlab': [
        'mmengine>=0.10.7,<0.11',
        'mmcv-lite>=2.1,<2.4',
        'mmpretrain==1.2.0',
        'setuptools<80.9',
        *TORCH,
    ],
    # The maintained forks, under the same import names: never together with the above.
    'onedl': [
        'onedl-mmengine>=0.10.12,<0.11',
        'onedl-mmcv>=2.3.6,<2.4',
        'onedl-mmpretrain>=1.3.6,<1.4',
        *TORCH,
    ],
    # Masks: the models of mmsegmentation. Its maintained fork, under the same import
    # name, goes with mmengine 0.10.7 and mmcv 2.2, which mmsegmentation 1.2.2 refuses.
    'segmentation': ['onedl-mmsegmentation==1.4.2'],
    # For backbones of type TIMMBackbone.
    'timm': ['timm'],
    # For data sets that come as DICOM, Excel or parquet, and for fetching MedMNIST.
    'dicom': ['pydicom>=3'],
    'excel': ['python-calamine'],
    'parquet': ['pyarrow>=14.0.1'],
    'medmnist': ['medmnist>=3'],
    # The documentation site, with notebooks that are executed as it is built.
    'docs': [
        'sphinx>=8.1',
        'myst-nb>=1.1',
        'furo',
        'sphinx-copybutton',
        'sphinx-design',
        'ipykernel',
    ],
    # For tools/export.py: ONNX, safetensors and the card of the Hugging Face hub.
    'onnx': ['onnx>=1.16', 'onnxruntime>=1.18', 'onnxscript>=0.1'],
    'hub': ['huggingface_hub>=0.24', 'safetensors>=0.4'],
    # Experiment trackers, for --log-to.
    'tensorboard': ['tensorboard'],
    'mlflow': ['mlflow>=3'],
    'wandb': ['wandb>=0.19'],
    # For the maps of tools/predict.py.
    'attribution': ['captum>=0.7'],
    # For its page in the browser.
    'web': ['gradio>=6'],
    'tests': [
        'pytest>=8',
        'pytest-xdist>=3.2',
        'hypothesis',
        # The oracle of bootstrap intervals, by its argument `rng`.
        'scipy>=1.15',
        'ruff>=0.17.6,<0.18',
        'mypy>=2.4.1,<2.5',
        'timm',
        'onedl-mmsegmentation==1.4.2',
        'pydicom>=3',
        'pyarrow',
        'python-calamine',
        # Write the Excel files that the tests read.
        'openpyxl',
        # DataFrames that are given to ff_mm.train.
        'pandas',
        'xlwt',
        'onnx>=1.16',
        'onnxruntime>=1.18',
        'onnxscript>=0.1',
        'huggingface_hub>=0.24',
        'safetensors>=0.4',
        'captum>=0.7',
        'tensorboard',
        'mlflow>=3',
        'wandb>=0.19',
    ],
}

setup(
    name='ff_mm',
    version=read_version(),
    description='FissionFusion model soups for MMEngine and MMPretrain',
    long_description=read_description(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['ff_mm', 'ff_mm.*', 'ff_mm_commands']),
    package_data={
        'ff_mm.comparison.report': ['*.json', '*.j2'],
        'ff_mm.exporting': ['*.j2'],
    },
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['ff-mm = ff_mm_commands:main']},
    python_requires='>=3.10',
    # Nothing of OpenMMLab and not torch: who comes here may have an environment that
    # a requirement of ours would break.
    # jinja2 (which torch needs too) writes the page of a comparison, tabulate its
    # tables for text and LaTeX, matplotlib (which mmengine needs too) its plots.
    install_requires=[
        'jinja2>=3',
        'matplotlib>=3.6',
        'numpy',
        'rich>=13',
        'scikit-learn>=1.4',
        'scipy',
        'tabulate>=0.9',
    ],
    extras_require=EXTRAS,
)

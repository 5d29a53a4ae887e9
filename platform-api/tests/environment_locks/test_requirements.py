"""What a model may ask for, line by line, and when the platform's own libraries will do."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mlops_platform.environment_locks.requirements import NotAllowed, applying, asked_by
from mlops_platform.environment_locks.serving import differences, wanted

_HERE = {"scikit-learn": "1.9.1", "numpy": "2.3.5", "xgboost-cpu": "3.1.2", "pandas": "2.3.3"}


def _model(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("--index-url https://elsewhere.example/simple", "option"),
        ("--extra-index-url https://elsewhere.example/simple", "option"),
        ("-r more.txt", "option"),
        ("-e .", "option"),
        ("--find-links /tmp", "option"),
        ("--no-binary :all:", "option"),
        ("./mine-1.0-py3-none-any.whl", "path or an address"),
        ("/etc/passwd", "path or an address"),
        ("../mine", "path or an address"),
        ("file:///tmp/mine.whl", "path or an address"),
        ("https://elsewhere.example/mine.whl", "path or an address"),
        ("git+https://elsewhere.example/mine.git", "path or an address"),
        ("mine @ https://elsewhere.example/mine.whl", "address"),
        ("mine @ file:///tmp/mine.whl", "address"),
        ("numpy==2.3.5 --hash=sha256:aa", "not a requirement"),
        ("scikit-learn==", "not a requirement"),
        ("numpy \\", "path or an address"),
        ("a\x1b[31mb ==1", "not a requirement"),
    ],
)
def test_a_line_that_is_no_library_is_refused_by_name(tmp_path: Path, line: str, word: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        asked_by(_model(tmp_path, requirements__txt=f"numpy==2.3.5\n{line}\n"))
    sentence = str(refused.value)
    assert word in sentence
    assert "line 2" in sentence
    assert sentence.isprintable()


def test_requirements_are_read_from_what_mlflow_writes(tmp_path: Path) -> None:
    root = _model(
        tmp_path,
        requirements__txt="\ufeffmlflow==2.9.2\n# a comment\nscikit-learn==1.3.2  # pinned\npywin32==306; sys_platform == 'win32'\n",
        python_env__yaml="python: 3.11.4\nbuild_dependencies:\n- pip==23.3\ndependencies:\n- -r requirements.txt\n",
        conda__yaml="dependencies:\n- python=3.9.1\n- pip:\n  - nothing==1\n",
    )
    asked = asked_by(root)
    assert asked.python == "3.11"
    assert [each.name for each in applying(asked, "3.11")] == ["mlflow", "scikit-learn"]


def test_without_a_list_the_pip_part_of_conda_counts(tmp_path: Path) -> None:
    text = "dependencies:\n- python=3.10.2\n- pip<=23\n- pip:\n  - scikit-learn==1.3.2\n"
    asked = asked_by(_model(tmp_path, conda__yaml=text))
    assert (asked.python, asked.source, [str(each) for each in asked.requirements]) == (
        "3.10",
        "conda.yaml",
        ["scikit-learn==1.3.2"],
    )


@pytest.mark.parametrize("text", ["[", "a: &a [*a]", "- 1\n- 2", "x" * (1 << 18) + "x", "dependencies: 7"])
def test_a_file_that_is_no_description_is_a_sentence_or_nothing(tmp_path: Path, text: str) -> None:
    root = _model(tmp_path, python_env__yaml=text)
    told = None
    try:
        found = asked_by(root).source
    except NotAllowed as refused:
        told, found = str(refused), None
    assert found is None
    assert told is None or "python_env.yaml" in told


def test_a_link_out_of_the_model_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("numpy==1.0\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "requirements.txt").symlink_to(secret)
    assert asked_by(tmp_path / "model").source is None


@pytest.mark.parametrize(
    ("line", "differs"),
    [
        ("scikit-learn==1.9.1", False),
        ("scikit-learn==1.9.0", False),  # another patch of the same minor version
        ("scikit-learn==1.3.2", True),
        ("scikit-learn>=1.5", False),
        ("scikit-learn<1.5", True),
        ("scikit-learn>=1.9,<1.9.1", True),
        ("xgboost==3.1.1", False),  # the same library under another name here
        ("xgboost==1.7.6", True),
        ("mlflow==2.9.2", False),
        ("cloudpickle==1.0", False),
        ("category-encoders==2.6", True),
    ],
)
def test_the_platforms_own_libraries_do_or_do_not(line: str, differs: bool) -> None:
    assert bool(differences([Requirement(line)], _HERE.get)) == differs


def test_mlflow_comes_as_its_client_and_only_for_models_it_loads() -> None:
    named = [Requirement("mlflow==2.9.2"), Requirement("Scikit_Learn==1.3.2")]
    assert wanted(named, loads_by_mlflow=False) == ["scikit-learn==1.3.2"]
    assert wanted(named, loads_by_mlflow=True) == ["mlflow-skinny==2.9.2", "scikit-learn==1.3.2"]
    assert wanted(named[1:], loads_by_mlflow=True) == ["mlflow-skinny>=2.9", "scikit-learn==1.3.2"]

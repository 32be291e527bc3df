"""The commands, from the command line to their words."""

from __future__ import annotations

import json
import shutil

import pytest
from tests_train_spec import SMALL, assert_drawn

from archspec.cli import main
from archspec.training import device

OPTIONS = ["--memory-format", "contiguous", "--threads", "1", "--epochs", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(SMALL)
    run = folder / "run"
    assert main(["train", str(folder / "small.yaml"), "--run", str(run), *OPTIONS]) == 0
    return run


def test_train_says_what_it_chose_and_how_it_went(small_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(device, "cpu_computes_in_bf16", lambda: False)
    assert main(["train", str(small_file), "--run", str(tmp_path / "r"), *OPTIONS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data: digits, 90 images to train on, 10 to choose by, 40 to test")
    assert lines[1:5] == [
        "device: cpu, fp32 (the default on cpu)",
        "computing: contiguous, 1 thread (as asked)",
        "evaluating: contiguous (as in training: too few images to measure)",
        f"run: {tmp_path / 'r'}",
    ]
    assert lines[5].startswith("epoch 1/2  loss ") and "  validation " in lines[5]
    assert lines[-1] == f"report: {tmp_path / 'r' / 'report.md'}"


def test_a_run_folder_holds_everything(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {"spec.yaml", "config.yaml", "run.json", "environment.json", "metrics.jsonl"}
    assert names >= {"result.json", "report.md", "curves.png", "confusion.png", "checkpoints"}
    assert_drawn(trained)
    report = (trained / "report.md").read_text()
    assert "| 7 |" in report and "best weights, test" in report and "curves.png" in report
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").open()]
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [1, 2]


def test_evaluate_needs_the_run_folder_alone(trained, tmp_path, monkeypatch, capsys):
    import shutil

    moved = tmp_path / "elsewhere"
    shutil.copytree(trained, moved)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(moved), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    result = json.loads((trained / "result.json").read_text())
    assert found["accuracy"] == pytest.approx(result["best"]["test"]["accuracy"])
    assert found["loss"] == pytest.approx(result["best"]["test"]["loss"], rel=1e-5)
    assert sum(map(sum, found["confusion"])) == found["images"] == 40
    assert main(["evaluate", str(moved), "--last"]) == 0
    assert "class  precision  recall" in capsys.readouterr().out


def test_predict_reads_pictures_of_any_size(trained, tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (300, 200), "white").save(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("no picture")
    images = [str(tmp_path / "white.png"), str(tmp_path / "text.png")]
    assert main(["predict", str(trained), *images, "--format", "json"]) == 1
    streams = capsys.readouterr()
    assert "cannot read the picture" in streams.err and "text.png" in streams.err
    (found,) = json.loads(streams.out)
    assert len(found["classes"]) == 5
    shares = [each["probability"] for each in found["classes"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-6


def test_a_test_image_is_predicted_as_it_was_evaluated(trained, tmp_path):
    import torch
    from PIL import Image

    from archspec.data import open_dataset
    from archspec.training.trained_network import open_trained, read_image

    network = open_trained(trained)
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    images, _ = next(data.test.batches(1, device="cpu"))
    pixels = (images[0, 0] * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "one.png")
    read = read_image(tmp_path / "one.png", network.arch, network.recipe)
    assert torch.equal(read, images)


def test_runs_lists_and_compares(trained, small_file, tmp_path, capsys):
    other = tmp_path / "other"
    assert main(["train", str(small_file), "--run", str(other), *OPTIONS, "--lr", "0.5"]) == 0
    capsys.readouterr()
    assert main(["runs", str(trained), str(other)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-4:] == ["validation", "test", "state", "lr"]
    assert lines[1].split()[1:4] == ["small", "digits", "2/2"] and lines[1].endswith("0.01")
    assert lines[2].endswith("0.5")
    assert main(["runs", str(tmp_path / "none")]) == 1
    assert "holds no runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data", "cifar"], "there is no data set 'cifar'"),
        (["--set", "num_classes=3"], "the network tells 3 classes apart; digits has 10"),
        (["--input", "2x8x8"], "the network takes images of 2 channels; digits has 1"),
        (["--resize", "2"], "the recipe brings images to 2x2"),
        (["--device", "tpu"], "the device 'tpu' cannot be used"),
        (["--lr", "fast"], "--lr:1:1: error AS205: `lr` cannot be 'fast'"),
        (["--augment", "[blur]"], "there is no augmentation 'blur'"),
        (["--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_starts(more, said, small_file, tmp_path, capsys):
    run = tmp_path / "never"
    assert main(["train", str(small_file), "--run", str(run), *more]) == 1
    assert said in capsys.readouterr().err
    assert not run.exists()


def test_resume_needs_a_run(small_file, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", str(small_file), "--resume"])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (["--batch-size", "1"], "a step has 1: it takes --batch-size 2 or more"),
        (["--limit-train", "1"], "a step has 1: it takes more training images"),
        (["--batch-size", "4", "--accumulate", "4"], "a step has 4: it takes --batch-size 8"),
    ],
)
def test_one_image_has_no_batch_statistics(options, mend, small_file, tmp_path, capsys):
    run = tmp_path / "r"
    assert main(["train", str(small_file), "--run", str(run), *OPTIONS, *options]) == 1
    said = capsys.readouterr().err
    assert "archspec train: error: the network has batch normalisation" in said and mend in said
    assert not run.exists()


def test_a_recipe_is_read_wherever_a_spec_is_read(tmp_path, capsys):
    spec = tmp_path / "net.yaml"
    text = "input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: {epochs: %s, %s: 1}\n"
    spec.write_text(text % (0, "lrr"))
    for command in ("compile", "check", "expand"):
        assert main([command, str(spec)]) == 1
        said = capsys.readouterr().err
        assert "net.yaml:3:17: error AS205: `epochs` cannot be 0" in said
        assert "net.yaml:3:20: error AS202: a recipe has no 'lrr'" in said


def test_check_says_what_does_not_go_together(tmp_path, capsys):
    spec = tmp_path / "net.yaml"
    spec.write_text("input: [1, 8, 8]\nlayers: [flatten, {linear: 10}]\ntrain: {warmup: 10}\n")
    assert main(["compile", str(spec)]) == 0  # --config or an option may still change it
    assert main(["check", str(spec)]) == 1
    said = capsys.readouterr().err
    assert "net.yaml:3:17: error AS205: `warmup` must be shorter than `epochs`" in said


def test_a_folder_with_somebody_s_files_is_not_written_over(small_file, tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "spec.yaml").write_text("mine")
    assert main(["train", str(small_file), "--run", str(mine), *OPTIONS]) == 1
    assert "is no run and holds a spec.yaml already" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["spec.yaml"]
    assert (mine / "spec.yaml").read_text() == "mine"


def test_a_found_batch_can_be_computed_in_pieces(small_file, tmp_path):
    options = ["--batch-size", "auto", "--accumulate", "3", "--epochs", "1"]
    run = tmp_path / "r"
    assert main(["train", str(small_file), "--run", str(run), *options]) == 0
    assert main(["evaluate", str(run)]) == 0


def test_a_run_whose_pictures_changed_does_not_go_on(small_file, tmp_path, capsys):
    from PIL import Image

    for name in ("cat", "dog", "fox"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(8):
            picture = Image.new("L", (12, 12), 20 * number)
            picture.save(tmp_path / "pets" / name / f"{number}.png")
    argv = ["train", str(small_file), "--data", f"image_folder:{tmp_path / 'pets'}"]
    argv += ["--set", "num_classes=3", "--run", str(tmp_path / "r"), "--batch-size", "4"]
    argv += [*OPTIONS[:4], "--epochs"]
    if main([*argv, "1"]) != 0:
        pytest.fail(capsys.readouterr().err)
    (tmp_path / "pets" / "cat").rename(tmp_path / "pets" / "yak")
    assert main([*argv, "2", "--resume"]) == 1
    assert "the classes of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "fp16", "--device", "auto"], "fp16 needs a GPU"),
        (["--loss-weights", "{aux: 0.5}"], "the network has no output 'aux'"),
        (["--seed", "18446744073709551616"], "`seed` cannot be 18446744073709551616"),
    ],
)
def test_what_could_not_count_is_refused_before_a_run_is_made(
    options, said, small_file, tmp_path, capsys
):
    argv = ["train", str(small_file), "--run", str(tmp_path / "r"), *OPTIONS, *options]
    assert main(argv) == 1
    assert said in capsys.readouterr().err


def test_one_odd_run_does_not_hide_the_others(trained, tmp_path, capsys):
    import shutil

    for name in ("good", "cut", "strange", "empty"):
        shutil.copytree(trained, tmp_path / name)
    (tmp_path / "cut" / "run.json").write_text('{"name": ')
    (tmp_path / "strange" / "config.yaml").write_text("epohcs: 3\n")
    (tmp_path / "empty" / "run.json").unlink()
    assert main(["runs", str(tmp_path)]) == 1
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 2 and str(tmp_path / "good") in streams.out
    assert "run.json is damaged" in streams.err and "epohcs" in streams.err


def test_a_picture_is_turned_as_in_training(trained, tmp_path):
    from PIL import Image

    from archspec.data.reading import read_picture
    from archspec.training.trained_network import open_trained, read_image

    upright = Image.new("L", (20, 40))
    upright.paste(255, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by a quarter to see it upright
    upright.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    upright.save(tmp_path / "upright.png")
    assert read_picture(tmp_path / "turned.jpg").size == (20, 40)
    network = open_trained(trained)
    turned, plain = (
        read_image(tmp_path / name, network.arch, network.recipe)
        for name in ("turned.jpg", "upright.png")
    )
    assert float((turned - plain).abs().max()) < 0.1


def test_lists_are_lists_in_python_too(small_file):
    import archspec
    from archspec.training import recipe_for

    recipe = recipe_for(
        archspec.load(small_file),
        None,
        {
            "augment": ["random_crop:2"],
            "resize": [8, 8],
            "betas": [0.9, 0.99],
            "normalize": {"mean": [0.5], "std": [0.5]},
        },
    )
    assert recipe.augment == ("random_crop:2",) and recipe.resize == (8, 8)
    assert recipe.betas == (0.9, 0.99) and recipe.normalize.mean == (0.5,)


def test_a_config_of_any_bytes_is_refused(small_file, tmp_path, capsys):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    assert main(["train", str(small_file), "--config", str(tmp_path / "c.yaml")]) == 1
    assert "is not UTF-8" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_left_out_as_asked(small_file, tmp_path, capsys):
    from PIL import Image

    pets = tmp_path / "pets"
    for name in ("cat", "dog", "fox"):
        (pets / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (12, 12), 20 * number).save(pets / name / f"{number}.png")
    for name in ("cat", "dog"):
        (pets / name / "3.png").write_text("no picture")
    argv = ["train", str(small_file), "--data", f"image_folder:{pets}", "--set", "num_classes=3"]
    argv += ["--batch-size", "4", *OPTIONS[:4], "--epochs", "1", "--run", str(tmp_path / "r")]
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert "cannot read 2 pictures:" in said and "--skip-unreadable goes on without them" in said
    assert str(pets / "cat" / "3.png") in said and str(pets / "dog" / "3.png") in said
    assert main([*argv, "--skip-unreadable"]) == 0
    assert "unreadable: 2 of 30 pictures are left out" in capsys.readouterr().out
    assert "skip_unreadable: true" in (tmp_path / "r" / "config.yaml").read_text()
    # The run's own choice holds for its data, and an option for other data.
    assert main(["evaluate", str(tmp_path / "r")]) == 0
    assert "note: unreadable: 2 of 30" in capsys.readouterr().err
    clean = shutil.copytree(pets, tmp_path / "clean")
    for name in ("cat", "dog"):
        (clean / name / "3.png").unlink()
    other = [each.replace(str(pets), str(clean)) for each in argv[:-1]] + [str(tmp_path / "c")]
    assert main(other) == 0
    assert main(["evaluate", other[-1], "--data", f"image_folder:{pets}"]) == 1
    assert main(["evaluate", other[-1], "--data", f"image_folder:{pets}", "--skip-unreadable"]) == 0

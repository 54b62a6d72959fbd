"""Recipes: those shipped load, and what is not possible is refused with file and key."""

import pytest

from gxevent.errors import FormatError, GxError, OptionError
from gxevent.train.recipes import LEARNING_RATES, from_settings, list_recipes, load_recipe, override

MINIMAL = """
name = "mine"
summary = "a test"
[data]
kind = "digits"
[network]
layers = "8C3-10"
[fit]
epochs = 3
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_shipped_recipes_load_under_their_names():
    recipes = list_recipes()
    assert {"digits", "fashion", "mnist", "nmnist"} <= set(recipes)
    for name, summary in recipes.items():
        assert load_recipe(name).name == name
        assert summary


def test_a_file_of_ones_own(write):
    recipe = load_recipe(write(MINIMAL))
    assert (recipe.name, recipe.fit.epochs, recipe.dst.rule) == ("mine", 3, "adam")
    assert recipe.encoder.encoder().channels == 2


def test_override_leaves_the_rest():
    recipe = load_recipe("digits")
    other = override(recipe, epochs=7, seed=5, fold=2)
    assert (other.fit.epochs, other.fit.seed, other.data.fold) == (7, 5, 2)
    assert other.network == recipe.network
    assert override(recipe) == recipe
    for wrong in ({"epochs": 0}, {"seed": -1}, {"fold": 99}):
        with pytest.raises(OptionError):
            override(recipe, **wrong)


def test_the_learning_rate_is_by_default_that_of_the_rule(write):
    for rule, rate in LEARNING_RATES.items():
        recipe = load_recipe(write(MINIMAL + f'[dst]\nrule = "{rule}"'))
        assert recipe.dst.lr == recipe.settings()["dst"]["lr"] == rate
        assert load_recipe(write(MINIMAL + f'[dst]\nrule = "{rule}"\nlr = 0.1')).dst.lr == 0.1


def test_settings_kept_before_an_option_existed(write):
    """What they did not say then, they meant as it was."""
    settings = load_recipe(write(MINIMAL)).settings()
    assert from_settings(settings, "here").settings() == settings
    assert settings["fit"].pop("smooth") == 5
    assert from_settings(settings, "here").fit.smooth == 1
    assert "smooth" not in settings["fit"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epochs = 3\nepoch = 4", r"unknown field `epoch` - at `\$\.fit`"),
        ("epochs = 3", 'epochs = "many"', r"Expected `int`, got `str` - at `\$\.fit\.epochs`"),
        ("epochs = 3", "epochs = 3\nsmooth = 0", r">= 1 - at `\$\.fit\.smooth`"),
        ("epochs = 3", "epochs = 3\nnorm_frames = 99", r"fit\.norm_frames: 99, expected 0 or .* fit\.batch = 100"),
        ("epochs = 3", "epochs = 0", r">= 1 - at `\$\.fit\.epochs`"),
        ('kind = "digits"', 'kind = "letters"', r"letters"),
        ('kind = "digits"', 'kind = "digits"\nfold = 10', r"data\.fold: 10"),
        ("[fit]", "[dst]\nlr = -1.0\n[fit]", r"> 0.0 - at `\$\.dst\.lr`"),
        ("[fit]", '[dst]\nrule = "newton"\n[fit]', r"newton"),
        ("[fit]", '[encoder]\nkind = "fourier"\n[fit]', r"encoder kind 'fourier'"),
        ("[fit]", '[encoder]\nwindow = "soon"\n[fit]', r"window 'soon'"),
        ('layers = "8C3-10"', "", r"missing required field `layers`"),
        ("[fit]", "[fit", r"line 8"),
    ],
)
def test_names_file_and_key(write, old, new, message):
    path = write(MINIMAL.replace(old, new))
    with pytest.raises(OptionError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_recipes_and_files():
    with pytest.raises(OptionError, match=r"no recipe 'mnist2'.*braille.*digits.*fashion, mnist, nmnist"):
        load_recipe("mnist2")
    with pytest.raises(FormatError, match=r"nowhere\.toml: no such file"):
        load_recipe("/nowhere.toml")
    with pytest.raises(GxError):
        load_recipe("../digits")

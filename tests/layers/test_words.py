from paretune.models import describe


def test_layers_are_told_in_order_and_what_a_trained_network_has_not_is_left_out():
    model = {
        "_target_": "paretune.models.conv.Conv",
        "widths": [4, 6],
        "dropout": 0.5,
        "norm": "batch",
        "norm_first": True,
    }

    assert describe(model).startswith("conv 3x3 1>4, batch norm 4, relu, ")
    assert "dropout" not in describe(model)
    assert describe(model).endswith(">10")


def test_a_layer_that_is_used_several_times_is_told_once():
    model = {
        "_target_": "paretune.models.recurrent.Recurrent",
        "width": 6,
        "steps": 4,
        "separable": False,
    }

    assert describe(model).count("conv 3x3 6>6") == 1

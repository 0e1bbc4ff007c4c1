"""What the paper reports: numbers to compare with."""

DATASETS = {"fcnn": "mnist", "cnn": "fashion-mnist"}
"""What the paper's nets are trained on."""

ACCURACY: dict[str, dict[str, float]] = {
    "fcnn": {
        "natural": 0.9508,
        "fgsm": 0.9697,
        "pgd": 0.9689,
        "l1-0.01": 0.9527,
        "nuclear-0.01": 0.9681,
        "l1-0.01-nuclear-0.01": 0.9446,
        "l1-0.01-nuclear-0.03": 0.9327,
    },
    "cnn": {
        "natural": 0.9041,
        "fgsm": 0.8639,
        "pgd": 0.864,
        "l1-0.01": 0.8917,
        "l1-0.01-nuclear-0.05": 0.8623,
        "l1-0.01-nuclear-0.1": 0.8614,
        "l1-0.01-nuclear-0.5": 0.8399,
    },
}
"""Test accuracy of each row of Table 1 (fcnn, MNIST) and Table 2 (cnn, Fashion-MNIST) in Appendix A, by method."""

TOLERANCE = 0.005
"""How far our mean may be from the paper's number."""

TOLERANCE_REASON = "half a point, an assumption: the paper gives one run of each and no spread"

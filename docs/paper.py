"""What the paper and its three neighbours number and name, in their order; where each is here, `index` finds.

A docstring cites an item by its key, "Eq. (6)" or "Theorem 1", also in a list: "Eqs. (5) to (8)", "Figures 2 and 3".
What has a name but no number is found by a pattern, the reference or the words that its docstring has.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SINGULAR = {
    "Eq": "Eq",
    "Eqs": "Eq",
    "Figure": "Figure",
    "Figures": "Figure",
    "Table": "Table",
    "Tables": "Table",
    "Claim": "Claim",
    "Claims": "Claim",
    "Theorem": "Theorem",
    "Remark": "Remark",
    "Section": "Section",
    "Sections": "Section",
    "Appendix": "Appendix",
}

CITATION = re.compile(
    rf"(?<!their )\b({'|'.join(SINGULAR)})\.? "
    r"(\(?(?:\d+|[AB]\b)\)?(?:(?:, and |, | and | to )\(?(?:\d+|[AB]\b)\)?)*)"
)


@dataclass(frozen=True)
class Item:
    """`statement` is what it says, in Markdown; `pattern` finds it in docstrings instead of its key.

    Of the modules whose names begin with one of `within` only, if that is given.
    """

    key: str
    title: str
    statement: str = ""
    pattern: str = ""
    within: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.key.lower()).strip("-")

    def cited(self, text: str) -> bool:
        """Whether the text speaks of it."""
        if self.pattern:
            return bool(re.search(self.pattern, text))
        return self.key in set(citations(text))


@dataclass(frozen=True)
class Part:
    """A section of the paper, or a neighbour; its own key is cited, too."""

    key: str
    title: str
    items: tuple[Item, ...] = ()

    @property
    def anchor(self) -> str:
        return "part-" + re.sub(r"\W+", "-", self.key.lower()).strip("-")


def citations(text: str) -> Iterator[str]:
    """The keys that a text cites, each number of a list."""
    for kind, numbers in CITATION.findall(re.sub(r"\s+", " ", text)):
        listed = re.findall(r"\d+|[AB]|to", numbers)
        for i, one in enumerate(listed):
            if one == "to":
                if listed[i - 1].isdigit():
                    yield from (_key(SINGULAR[kind], str(n)) for n in range(int(listed[i - 1]) + 1, int(listed[i + 1])))
            else:
                yield _key(SINGULAR[kind], one)


def _key(kind: str, number: str) -> str:
    return f"Eq. ({number})" if kind == "Eq" else f"{kind} {number}"


PAPER = (
    Part("Section 1", "Introduction"),
    Part(
        "Section 2",
        "Preliminaries",
        (
            Item("Eq. (1)", "the network, layer by layer", r"$t^i = \varphi(W^i t^{i-1})$, with $t^0 = x$"),
            Item("Eq. (2)", "effective sparsity", r"$\bar s(W) = \|W\|_1 / \|W\|_F$"),
            Item("Eq. (3)", "effective rank", r"$\bar r(W) = \|W\|_* / \|W\|_F$"),
            Item("Eq. (4)", "the hidden layers as a Markov chain",
                 r"$(x, y) \to t^1 \to \dots \to t^{m-1} \to \hat y$, studied by the mutual information $I(x; t^i)$"),
        ),
    ),
    Part(
        "Section 3",
        "Simultaneous low-rankness and sparsity in linear models: an example",
        (
            Item("p_0 and p_eps", "error of a linear classifier, clean and under attack",
                 r"$p_0(w) = P(y\,w^\top x < 0)$ and "
                 r"$p_\epsilon(w) = \max_{\|\eta\|_\infty \le \epsilon} P(y\,w^\top (x + \eta) < 0)$",
                 r"p_eps|p_0\(w\)|p_\\epsilon", ("refimpl.theory",)),
            Item("Theorem 1", "projection on the subspace of the data",
                 r"If $\bar s(Qw) \le \bar s(w)$, then $p_0(Qw) = p_0(w)$ and $p_\epsilon(Qw) \le p_\epsilon(w)$."),
            Item("Remark 1", "a classifier inside the subspace", r"If $w \in \mathcal V$, projecting changes nothing."),
        ),
    ),
    Part(
        "Section 4",
        "Inducing compression through regularization",
        (
            Item("Figure 1", "W1 of the fully connected net after natural and adversarial training"),
            Item("Eq. (5)", "l1 regularization", r"$\sum_i \lambda_{1,i} \|W^i\|_1$"),
            Item("Eq. (6)", "nuclear norm regularization", r"$\sum_i \lambda_{*,i} \|W^i\|_*$"),
            Item("Eq. (7)", "joint regularization", r"$\lambda_{joint} \|W^1 \cdots W^m\|_1$"),
            Item("Eq. (8)", "the whole loss", "cross-entropy plus Eqs. (5), (6) and (7)"),
            Item("Figure 2", "rank, sparsity and mutual information of the fully connected net in training"),
        ),
    ),
    Part(
        "Section 5",
        "Experiments",
        (
            Item("FGSM", "fast gradient sign method", r"$x + \epsilon\,\mathrm{sign}(\nabla_x L)$", "Goodfellow",
                 ("refimpl.attacks",)),
            Item("PGD", "projected gradient descent",
                 r"$x_{t+1} = \Pi(x_t + \alpha\,\mathrm{sign}(\nabla_x L(x_t)))$, 20 steps of 0.005", "Madry",
                 ("refimpl.attacks",)),
            Item("GNM", "gradient-based norm-constrained method", r"5 steps of $\epsilon / 5$ against the worst margin",
                 "Balda", ("refimpl.attacks",)),
            Item("Adversarial training", "fine-tuning on adversarial examples", "of a naturally trained net, eps 0.05",
                 r"Madry", ("refimpl.training",)),
            Item("Fooling ratio", "the measure of robustness",
                 "the fraction of correctly classified inputs whose label changes", r"[Ff]ooling ratio",
                 ("refimpl.measures.fooling",)),
            Item("Mutual information", "bounds by pairwise distances",
                 r"of $I(x; t^i)$ with noise of variance $\sigma^2 = 0.1$", "Kolchinsky", ("refimpl.measures",)),
            Item("Figure 3", "fooling ratios of the fully connected net"),
            Item("Figure 4", "fooling ratios of the convolutional net"),
            Item("Figure 5", "rank and sparsity of the convolutional net in training"),
            Item("Figure 6", "W1 of the convolutional net after natural and adversarial training"),
            Item("Figure 7", "W2 of the convolutional net after natural and adversarial training"),
            Item("Figure 8", "W1 of the fully connected net after regularized training"),
            Item("Figure 9", "W1 of the convolutional net after regularized training"),
            Item("Figure 10", "W2 of the convolutional net after regularized training"),
            Item("Claim 1", "adversarial training leads to low-rank and sparse weights"),
            Item("Claim 2", "low-rank and sparse weights promote robustness"),
        ),
    ),
    Part("Section 6", "Discussion"),
    Part(
        "Appendix A",
        "Additional experiments",
        (
            Item("Appendix A", "clean test accuracies"),
            Item("Table 1", "test accuracies of the fully connected net, MNIST"),
            Item("Table 2", "test accuracies of the convolutional net, Fashion-MNIST"),
        ),
    ),
    Part(
        "Appendix B",
        "Reshaping of convolutional filters",
        (Item("Appendix B", "a convolution as a matrix", r"$W = \tilde W \otimes I_m$ for $m$ patches"),),
    ),
)  # fmt: skip

NEIGHBOURS = (
    Part(
        "arXiv 2410.12607",
        "Low-rank PGD (Savostianova, Zangrando and Tudisco 2024)",
        (
            Item("Low-rank PGD", "ascent on the factors of the perturbation",
                 r"$\eta = \epsilon\,UV / \|UV\|_2$", "Low-rank PGD", ("refimpl.attacks",)),
            Item("Start of low-rank PGD", "random factors", "U normal, V zero", "low-rank adapters",
                 ("refimpl.attacks",)),
            Item("Warm and transferred start", "one truncated step of PGD", "of the net's own gradient, or another's",
                 "warm start", ("refimpl.attacks",)),
            Item("PGD in the l2 ball", "the baseline", r"steps $\alpha\,g / \|g\|_2$", r"\\ell_2\$ ball",
                 ("refimpl.attacks",)),
            Item("Truncated PGD", "the other baseline", "the best approximation of a rank",
                 "truncated to `rank`|best approximation", ("refimpl.attacks.pgd_l2", "refimpl.attacks.low_rank")),
            Item("Matched nuclear norm", "a budget of equal nuclear norm", r"$\epsilon' = \epsilon\,N_{PGD} / N$",
                 r"nuclear norm is that of PGD", ("refimpl.measures",)),
            Item("Spectrum of a perturbation", "relative change of singular values",
                 r"$|\sigma_i(x') - \sigma_i(x)| / \sigma_i(x)$", "Savostianova", ("refimpl.measures",)),
        ),
    ),
    Part(
        "arXiv 2306.01485",
        "Robust low-rank training (Savostianova, Zangrando, Ceruti and Tudisco 2023)",
        (
            Item("Low-rank layers", "a weight as factors", r"$W = U S V^\top$ with orthonormal U and V",
                 r"W = U S V\^|W \\sim U\(", ("refimpl.low_rank",)),
            Item("Rank as a fraction", "compression of the rank", r"$r = \lceil f \min(m, n) \rceil$",
                 "compression ratio",
                 ("refimpl.low_rank",)),
            Item("Tangent steps", "projection and preconditioner", r"$(I - U U^\top)\,dU$", r"tangent|I - U U\^",
                 ("refimpl.low_rank",)),
            Item("Retraction", "back to orthonormal factors", "the Q of QR", "Q of", ("refimpl.low_rank",)),
            Item("Bounded condition number", "the mode `clamp`", r"$\kappa(S) \le 1 + \tau$", r"1 \+ \\tau",
                 ("refimpl.low_rank",)),
            Item("Condition number one", "the mode `mean`", r"$S = s Q$", "mode `mean`", ("refimpl.low_rank",)),
            Item("Sensitivity bound", "product of condition numbers", "as quoted in arXiv 2505.08022",
                 "[Ss]ensitivity of",
                 ("refimpl.theory",)),
        ),
    ),
    Part(
        "arXiv 2102.11935",
        "Inputs and weights perturbed together (Tsai, Hsu, Yu and Chen 2021)",
        (
            Item("Attack on inputs and weights", "sign steps on both",
                 r"$\|x' - x\|_\infty \le \epsilon$, $|W'^l - W^l| \le \epsilon_l$", "perturbed weights|on the weights",
                 ("refimpl.attacks.input_weight",)),
            Item("Margin bound", "how far margins can move", r"$|M'_{ij} - M_{ij}| \le B_{ij}$",
                 r"B_\{ij\}|how far margins|margin changes",
                 ("refimpl.measures.certificates", "refimpl.regularizers.margin_bound")),
            Item("Certificate", "labels that no perturbation changes", r"$B_{yj} < M_{yj}$",
                 "no perturbation|certificate-", ("refimpl.measures.certificates",)),
            Item("Regularized loss", "the margin bound in the loss", r"$L + \lambda R + \mu \sum_l (\dots)$",
                 r"max_\{j \\ne y\} B_\{yj\}", ("refimpl.regularizers",)),
            Item("Row and column sums", "operator norms in the loss",
                 r"$\|W\|_{row} + \|W\|_{column}$", r"sum_j \|W_\{ij\}|row\}", ("refimpl.regularizers",)),
            Item("Training against perturbed weights", "the gradient at the worst weights nearby", "",
                 "perturbed weights", ("refimpl.training",)),
            Item("Fooling under both", "the fooling ratio", "one perturbation of the weights for all inputs",
                 "inputs and weights are perturbed", ("refimpl.measures",)),
        ),
    ),
)  # fmt: skip


def items() -> Iterator[Item]:
    """All of them."""
    for part in (*PAPER, *NEIGHBOURS):
        yield from part.items

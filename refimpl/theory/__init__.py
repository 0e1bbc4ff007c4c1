"""The paper's theory as code that can fail: statements with checks, and the objects that they speak of.

Read `linear` first (the binary linear classifiers of Section 3), then `statements/theorem.py` (Theorem 1, its proof and
remarks), `statements/statement.py` and `statements/judge.py` (how a claim is tried); then, in any order,
`convolution_matrix` (Appendix B) and the other files of `statements/`. `gradcheck` compares every derivative written by
hand with difference quotients and with `autograd_reference`; `validation` refuses arguments. README.md lists what we
found.
"""

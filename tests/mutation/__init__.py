"""Mutation testing of the guard: are its tests able to notice a change of its code?

`python -m tests.mutation` makes every small change that the operators know, one at a
time, and asks the unit tests of the changed module to fail. See
`ops/decisions/0014-tests-of-the-tests.md`.
"""

"""Other libraries: their attacks on our nets, our attacks on theirs, and nets and histories in their files.

Read `external`, a classifier of another library as one of our networks; `art` and `torch`, our networks as theirs;
`layers`, a network as a list of their layers, and `export`, which writes it in one of the `formats` and checks what it
wrote; `tensorboard`, the history of a run. A module imports its library when it is itself imported, and says what to
install where that is missing. The pages beside them have programs that run: README.md lists them.
"""

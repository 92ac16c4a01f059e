"""The words of lane programs as a dictionary for libFuzzer, which puts them into texts."""

from ops.lanes import COMBINES, INSTRUCTIONS, TYPES, mnemonics

SPECIAL = ("gid", "lane", "block", "lanes", "blocks", "grid")
TEXTS = (
    *(".kernel k\\x0a", ".param a: ", ".buffer x: inout ", ".shared s: ", "[:]", "[:, :]", "[%gid]"),
    *("inf", "nan", "true", "false", "endloop\\x0a", "exit\\x0a", ":\\x0a", ", "),
)

for word in (
    *mnemonics(),
    *(instruction.mnemonic for instruction in INSTRUCTIONS),
    *(f".{name}" for name, _ in TYPES),
    *(f".{combine.mnemonic}" for combine in COMBINES),
    *(f"%{name}.{axis}" for name in SPECIAL for axis in "xyz"),
    *TEXTS,
):
    print(f'"{word}"')

"""PTX to C++, instruction by instruction, so that what NVRTC makes for the GPU runs on the CPU.

It knows the instructions that the kernels consist of, and fails with a KeyError, or in the C++ compiler, on others.
Float arithmetic is IEEE's on both sides: each instruction rounds once, none is fused.
"""

from __future__ import annotations

import re

ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "and": "&", "or": "|", "xor": "^"}
COMPARISONS = {"eq": "==", "ne": "!=", "neu": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
REGISTERS = {"pred": "bool", "b16": "u16", "b32": "u32", "b64": "u64", "f32": "f32"}
MODIFIERS = {"rn", "rzi", "rni", "lo", "wide", "global", "param", "nc", "to", "uni"}

PRELUDE = """
#include "portable.cuh"
#include <bit>
#include <cmath>
#include <cstdint>
typedef bool pred;
typedef std::uint8_t u8, b8; typedef std::uint16_t u16, b16; typedef std::uint32_t u32, b32;
typedef std::uint64_t u64, b64;
typedef std::int8_t s8; typedef std::int16_t s16; typedef std::int32_t s32; typedef std::int64_t s64;
typedef float f32; typedef _Float16 f16;

// An operand as an instruction's type sees it: bits of the same width, or the low ones of a wider register.
template <typename To, typename From> To as(From from) {
    if constexpr (sizeof(To) == sizeof(From)) return std::bit_cast<To>(from);
    else return static_cast<To>(from);
}
template <typename Word, typename Half> Word joined(Half low, Half high) {
    return static_cast<Word>(low) | static_cast<Word>(high) << 8 * sizeof(Half);
}
template <typename Word> Word bfi(Word field, Word into, u32 at, u32 length) {
    const Word mask = (length < 8 * sizeof(Word) ? (Word{1} << length) - 1 : ~Word{0}) << at;
    return (into & ~mask) | (field << at & mask);
}
inline u32 prmt(u32 a, u32 b, u32 selectors) {
    const u64 bytes = joined<u64>(a, b);
    u32 result = 0;
    for (int i = 0; i < 4; ++i) {
        const u32 selector = selectors >> 4 * i & 15, byte = bytes >> 8 * (selector & 7) & 255;
        result |= (selector & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
    }
    return result;
}
template <typename Word> Word shl(Word value, u32 by) { return by < 8 * sizeof(Word) ? value << by : 0; }
template <typename Word> Word shr(Word value, u32 by) {
    return by < 8 * sizeof(Word) ? value >> by : value < 0 ? Word(-1) : 0;
}
using rtparse::blockDim; using rtparse::blockIdx; using rtparse::gridDim; using rtparse::threadIdx;
"""


def to_cpp(ptx: str) -> str:
    """The one kernel of a PTX text as C++ with the same entry name, which portable.cuh can run on the host."""
    ptx = re.sub(r"//.*", "", ptx)
    found = re.search(r"\.visible \.entry (\w+)\(([^)]*)\)\s*\{(.*)\}", ptx, re.S)
    assert found is not None
    name, parameters, body = found.groups()
    arguments = re.findall(r"\.param \.(\w+)(?: \.ptr[^,]*?)? (\w+)", parameters)
    lines = [PRELUDE, f'extern "C" void {name}({", ".join(f"{kind} {argument}" for kind, argument in arguments)}) {{']
    for statement in re.sub(r"(\$\w+):", r"\1:;", body).split(";"):
        lines.append(_statement(" ".join(statement.split())))
    return "\n".join([*lines, "}", f"RTPARSE_EXPORT({name})", ""])


def _statement(text: str) -> str:
    if not text or text.startswith(".pragma"):
        return ""
    if text.endswith(":"):
        return f"{text[1:]};"
    if declared := re.fullmatch(r"\.reg \.(\w+) %(\w+)<(\d+)>", text):
        kind, name, count = declared.groups()
        return f"{REGISTERS[kind]} {name}[{count}];"
    condition, text = re.fullmatch(r"(?:@(!?%p\d+) )?(.*)", text).groups()  # type: ignore[union-attr]
    code = _instruction(*text.partition(" ")[::2])
    return f"if ({_operand(condition)}) {{ {code} }}" if condition else code


def _operand(text: str) -> str:
    if text.startswith("!"):
        return f"!{_operand(text[1:])}"
    if special := re.fullmatch(r"%(n?)(ctaid|tid)\.([xyz])", text):
        few, what, axis = special.groups()
        return {"tid": "blockDim" if few else "threadIdx", "ctaid": "gridDim" if few else "blockIdx"}[what] + f".{axis}"
    if register := re.fullmatch(r"%([a-z]+)(\d+)", text):
        return "{}[{}]".format(*register.groups())
    if text.startswith("0f"):
        return f"std::bit_cast<f32>(0x{text[2:]}u)"
    return text


def _instruction(opcode: str, operands: str) -> str:
    name, *suffixes = opcode.split(".")
    given = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)
    types = [suffix for suffix in suffixes if suffix not in MODIFIERS and not suffix.startswith("v")]
    kind = types[-1] if types else ""
    if name == "ret":
        return "return;"
    if name == "bra":
        return f"goto {given[0][1:]};"
    if name in ("ld", "st"):
        return _memory(name, suffixes, kind, *given)
    target, *sources = given
    if name == "mov" and "{" in operands:
        return _vector_move(kind, target, sources[0])
    into = _operand(target)
    to = f"{into} = as<std::remove_reference_t<decltype({into})>>"
    if name == "cvt":
        return _conversion(to, suffixes, types, sources[0])
    raw = [_operand(source) for source in sources]
    if name in ("selp", "bfi", "prmt", "shl", "shr"):
        values = {
            "selp": lambda: f"({raw[2]} ? as<{kind}>({raw[0]}) : as<{kind}>({raw[1]}))",
            "bfi": lambda: f"bfi<{kind}>({', '.join(raw)})",
            "prmt": lambda: f"prmt({', '.join(raw)})",
            "shl": lambda: f"shl<{kind}>(as<{kind}>({raw[0]}), {raw[1]})",
            "shr": lambda: f"shr<{kind}>(as<{kind}>({raw[0]}), {raw[1]})",
        }
        return f"{to}({values[name]()});"
    seen = [f"as<{kind}>({source})" for source in raw]
    if name in ("mov", "cvta"):
        return f"{to}({seen[0]});"
    if name == "setp":
        return f"{into} = {seen[0]} {COMPARISONS[suffixes[0]]} {seen[1]};"
    if name == "not":
        return f"{into} = !{seen[0]};" if kind == "pred" else f"{to}({kind}(~{seen[0]}));"
    if name in ("min", "max") and kind == "f32":
        return f"{to}(f{name}f({seen[0]}, {seen[1]}));"
    if name in ("min", "max"):
        return f"{to}(std::{name}({seen[0]}, {seen[1]}));"
    if name == "neg":
        return f"{to}(-{seen[0]});"
    if name == "rcp":
        return f"{to}(1.0f / {seen[0]});"
    wide = {"s32": "s64", "u32": "u64", "s16": "s32", "u16": "u32"}[kind] if "wide" in suffixes else kind
    if name == "mad":
        return f"{to}({wide}({wide}({seen[0]}) * {wide}({seen[1]}) + as<{wide}>({raw[2]})));"
    return f"{to}({wide}({wide}({seen[0]}) {ARITHMETIC[name]} {wide}({seen[1]})));"


def _memory(name: str, suffixes: list[str], kind: str, *given: str) -> str:
    value, address = given if name == "ld" else given[::-1]
    registers = [_operand(part) for part in value.strip("{}").replace(" ", "").split(",")]
    base, _, offset = address.strip("[]").partition("+")
    if "param" in suffixes:
        return f"{registers[0]} = as<std::remove_reference_t<decltype({registers[0]})>>({base});"
    where = f"reinterpret_cast<{kind}*>({_operand(base)} + {offset or 0})"
    if name == "ld":
        return " ".join(
            f"{register} = as<std::remove_reference_t<decltype({register})>>({where}[{i}]);"
            for i, register in enumerate(registers)
        )
    return " ".join(f"{where}[{i}] = as<{kind}>({register});" for i, register in enumerate(registers))


def _vector_move(kind: str, target: str, source: str) -> str:
    """A word from two halves, the low one first, or the other way round."""
    braced = source if source.startswith("{") else target
    low, high = (_operand(part.strip()) for part in braced.strip("{}").split(","))
    if braced is source:
        return f"{_operand(target)} = joined<{kind}>({low}, {high});"
    half = 16 if kind == "b32" else 32
    return f"{low} = u{half}({_operand(source)}); {high} = u{half}({_operand(source)} >> {half});"


def _conversion(to: str, suffixes: list[str], types: list[str], source: str) -> str:
    target, given = types
    value = f"as<{given}>({_operand(source)})"
    if "rni" in suffixes:
        value = f"std::nearbyint({value})"
    converted = f"static_cast<{target}>({value})"
    if target[0] in "su" and given[0] in "su":
        # A narrow result lies in a wider register, extended by its sign.
        return (
            f"{to}({'s64' if target[0] == 's' else 'u64'}({converted}));" if target != "s64" else f"{to}({converted});"
        )
    return f"{to}({converted});"

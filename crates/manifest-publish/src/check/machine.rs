//! For which processor a program was built, as its first bytes tell.
//!
//! Spec: System V ABI, "ELF Header", with the processor supplements; Microsoft "PE Format"; Apple `mach/machine.h`,
//! `mach-o/loader.h` and `mach-o/fat.h`.

use std::fmt;

/// Bytes at the start of a program that are enough to tell what it was built for.
pub const HEAD: usize = 4096;

/// The format of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProgramFormat {
    /// Linux, the BSDs, Solaris and most others.
    Elf,
    /// Windows.
    Pe,
    /// macOS and iOS.
    MachO,
}

impl fmt::Display for ProgramFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Elf => "ELF",
            Self::Pe => "PE",
            Self::MachO => "Mach-O",
        })
    }
}

/// What a program was built for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Machine {
    /// The format that it is written in.
    pub format: ProgramFormat,
    /// The processors, by the names that platforms have for them, such as `arm64`; a number stands for one that has
    /// no such name. A universal binary of Mach-O has several.
    pub processors: Vec<String>,
}

/// Such as `amd64 (ELF)`.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.processors.join(" and "), self.format)
    }
}

/// Tells what a program was built for by its first bytes, of which [`HEAD`] are enough.
///
/// `None` for what is no program or library that a system loads, and for what runs on any processor: scripts, object
/// files, libraries of Windows, code for .NET that leaves the processor open.
pub fn machine_of(bytes: &[u8]) -> Option<Machine> {
    let (format, processors) = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => (ProgramFormat::Elf, vec![elf(bytes)?]),
        [b'M', b'Z', ..] => (ProgramFormat::Pe, vec![pe(bytes)?]),
        [0xca, 0xfe, 0xba, 0xbe, ..] => (ProgramFormat::MachO, fat(bytes)?),
        _ => (ProgramFormat::MachO, vec![mach_o(bytes)?]),
    };
    Some(Machine { format, processors })
}

/// In which order the bytes of a number stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }
}

/// The processor of an ELF file that is run or loaded: machine, class and order of bytes tell it together.
fn elf(bytes: &[u8]) -> Option<String> {
    /// `e_type` of what is run, and of libraries and programs that lie anywhere in memory.
    const LOADED: [u16; 2] = [2, 3];
    /// `e_flags` of MIPS: 64-bit registers with 32-bit addresses (n32).
    const MIPS_ABI2: u32 = 0x20;
    let is_64 = match bytes.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let order = match bytes.get(5)? {
        1 => Order::Little,
        2 => Order::Big,
        _ => return None,
    };
    if !LOADED.contains(&order.u16(bytes, 16)?) {
        return None;
    }
    let machine = order.u16(bytes, 18)?;
    let is_little = order == Order::Little;
    let n32 = || order.u32(bytes, 36).is_some_and(|flags| flags & MIPS_ABI2 != 0);
    let name = match (machine, is_64, is_little) {
        (3, false, true) => "386",
        (62, true, true) => "amd64",
        (62, false, true) => "amd64p32",
        (40, false, true) => "arm",
        (40, false, false) => "armbe",
        (183, true, true) => "arm64",
        (183, true, false) => "arm64be",
        (8, false, true) if n32() => "mips64p32le",
        (8, false, false) if n32() => "mips64p32",
        (8 | 10, false, true) => "mipsle",
        (8, false, false) => "mips",
        (8, true, true) => "mips64le",
        (8, true, false) => "mips64",
        (20, false, false) => "ppc",
        (21, true, false) => "ppc64",
        (21, true, true) => "ppc64le",
        (243, false, true) => "riscv",
        (243, true, true) => "riscv64",
        (22, false, false) => "s390",
        (22, true, false) => "s390x",
        (2 | 18, false, false) => "sparc",
        (43, true, false) => "sparc64",
        (258, true, true) => "loong64",
        _ => {
            let (bits, order) = (if is_64 { 64 } else { 32 }, if is_little { "little" } else { "big" });
            return Some(format!("machine {machine}, {bits} bits, {order}-endian"));
        }
    };
    Some(name.to_owned())
}

/// The processor of a program for Windows.
fn pe(bytes: &[u8]) -> Option<String> {
    /// `IMAGE_FILE_DLL`: libraries for several processors lie side by side in each Windows.
    const DLL: u16 = 0x2000;
    const HEADER: usize = 24;
    let order = Order::Little;
    let at = usize::try_from(order.u32(bytes, 0x3c)?).ok()?;
    if bytes.get(at..)?.first_chunk() != Some(b"PE\0\0") {
        return None;
    }
    let (machine, flags) = (order.u16(bytes, at + 4)?, order.u16(bytes, at + 22)?);
    let name = match machine {
        _ if flags & DLL != 0 => return None,
        // A compiler for .NET writes this where it leaves the processor open, too.
        0x14c if is_managed(bytes, at + HEADER) => return None,
        0x14c => "386",
        0x8664 => "amd64",
        0x1c0 | 0x1c2 | 0x1c4 => "arm",
        0xaa64 => "arm64",
        0x5032 => "riscv",
        0x5064 => "riscv64",
        0x6264 => "loong64",
        other => return Some(format!("machine {other:#06x}")),
    };
    Some(name.to_owned())
}

/// Whether a program has a header of the common language runtime, the fifteenth of its data directories.
fn is_managed(bytes: &[u8], optional: usize) -> bool {
    const DIRECTORY: usize = 14;
    let order = Order::Little;
    let first = match order.u16(bytes, optional) {
        Some(0x10b) => 96,
        Some(0x20b) => 112,
        _ => return false,
    };
    let count = order.u32(bytes, optional + first - 4).unwrap_or_default();
    count as usize > DIRECTORY && order.u32(bytes, optional + first + 8 * DIRECTORY).is_some_and(|at| at != 0)
}

/// The processor of a program for macOS.
fn mach_o(bytes: &[u8]) -> Option<String> {
    /// `filetype` of programs, libraries and bundles.
    const LOADED: [u32; 3] = [2, 6, 8];
    let order = match bytes.first_chunk()? {
        [0xfe, 0xed, 0xfa, 0xce | 0xcf] => Order::Big,
        [0xce | 0xcf, 0xfa, 0xed, 0xfe] => Order::Little,
        _ => return None,
    };
    if !LOADED.contains(&order.u32(bytes, 12)?) {
        return None;
    }
    Some(mach_processor(order.u32(bytes, 4)?))
}

/// The processors of a universal binary.
fn fat(bytes: &[u8]) -> Option<Vec<String>> {
    /// Classes of Java begin with the same bytes, and with their version where the number of processors stands: the
    /// first version was 45.
    const MOST: u32 = 44;
    const ENTRY: usize = 20;
    let count = Order::Big.u32(bytes, 4).filter(|count| (1..=MOST).contains(count))?;
    (0..count as usize).map(|n| Order::Big.u32(bytes, 8 + n * ENTRY).map(mach_processor)).collect()
}

fn mach_processor(number: u32) -> String {
    match number {
        7 => "386",
        0x0100_0007 => "amd64",
        12 => "arm",
        0x0100_000c => "arm64",
        18 => "ppc",
        0x0100_0012 => "ppc64",
        other => return format!("machine {other:#010x}"),
    }
    .to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The head of an ELF file.
    pub(crate) fn elf(class: u8, order: u8, kind: u16, machine: u16, flags: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order, 1]);
        let (kind, machine, flags) = if order == 1 {
            (kind.to_le_bytes(), machine.to_le_bytes(), flags.to_le_bytes())
        } else {
            (kind.to_be_bytes(), machine.to_be_bytes(), flags.to_be_bytes())
        };
        bytes[16..18].copy_from_slice(&kind);
        bytes[18..20].copy_from_slice(&machine);
        let at = if class == 1 { 36 } else { 48 };
        bytes[at..at + 4].copy_from_slice(&flags);
        bytes
    }

    fn pe(machine: u16, flags: u16, managed: bool) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        bytes[0x96..0x98].copy_from_slice(&flags.to_le_bytes());
        let optional = 0x98;
        bytes[optional..optional + 2].copy_from_slice(&0x10b_u16.to_le_bytes());
        bytes[optional + 92] = 16;
        bytes[optional + 96 + 8 * 14] = u8::from(managed);
        bytes
    }

    fn mach(magic: [u8; 4], words: &[u32]) -> Vec<u8> {
        let little = magic[3] == 0xfe;
        let words =
            words.iter().flat_map(|word| if little { word.to_le_bytes() } else { word.to_be_bytes() });
        magic.into_iter().chain(words).collect()
    }

    fn told(bytes: &[u8]) -> String {
        machine_of(bytes).map_or_else(|| "-".to_owned(), |machine| machine.to_string())
    }

    #[test]
    fn an_elf_file_tells_its_processor_by_machine_class_and_order() {
        for (class, order, machine, flags, name) in [
            (1, 1, 3, 0, "386"),
            (2, 1, 62, 0, "amd64"),
            (1, 1, 62, 0, "amd64p32"),
            (1, 1, 40, 0x0500_0400, "arm"),
            (1, 2, 40, 0, "armbe"),
            (2, 1, 183, 0, "arm64"),
            (2, 2, 183, 0, "arm64be"),
            (1, 1, 8, 0x7000_1007, "mipsle"),
            (1, 2, 8, 0x7000_1007, "mips"),
            (2, 1, 8, 0x6000_0007, "mips64le"),
            (2, 2, 8, 0x6000_0007, "mips64"),
            (1, 1, 8, 0x20, "mips64p32le"),
            (1, 2, 8, 0x20, "mips64p32"),
            (1, 2, 20, 0, "ppc"),
            (2, 2, 21, 1, "ppc64"),
            (2, 1, 21, 2, "ppc64le"),
            (1, 1, 243, 5, "riscv"),
            (2, 1, 243, 5, "riscv64"),
            (1, 2, 22, 0, "s390"),
            (2, 2, 22, 0, "s390x"),
            (1, 2, 2, 0, "sparc"),
            (1, 2, 18, 0, "sparc"),
            (2, 2, 43, 0, "sparc64"),
            (2, 1, 258, 0x43, "loong64"),
            (2, 1, 50, 0, "machine 50, 64 bits, little-endian"),
            (1, 1, 183, 0, "machine 183, 32 bits, little-endian"),
        ] {
            for kind in [2, 3] {
                assert_eq!(told(&elf(class, order, kind, machine, flags)), format!("{name} (ELF)"));
            }
            for kind in [0, 1, 4] {
                assert_eq!(told(&elf(class, order, kind, machine, flags)), "-", "an object file or a dump");
            }
        }
    }

    #[test]
    fn a_pe_file_tells_its_processor_unless_it_is_a_library_or_runs_on_any() {
        for (machine, flags, managed, name) in [
            (0x14c, 0x102, false, "386 (PE)"),
            (0x14c, 0x102, true, "-"),
            (0x8664, 0x22, false, "amd64 (PE)"),
            (0x8664, 0x22, true, "amd64 (PE)"),
            (0x8664, 0x2022, false, "-"),
            (0x1c4, 2, false, "arm (PE)"),
            (0xaa64, 2, false, "arm64 (PE)"),
            (0x5064, 2, false, "riscv64 (PE)"),
            (0x6264, 2, false, "loong64 (PE)"),
            (0x200, 2, false, "machine 0x0200 (PE)"),
        ] {
            assert_eq!(told(&pe(machine, flags, managed)), name, "{machine:#x}");
        }
    }

    #[test]
    fn a_mach_o_file_tells_its_processors() {
        const LITTLE_64: [u8; 4] = [0xcf, 0xfa, 0xed, 0xfe];
        const FAT: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];
        for (bytes, name) in [
            (mach(LITTLE_64, &[0x0100_0007, 3, 2]), "amd64 (Mach-O)"),
            (mach(LITTLE_64, &[0x0100_000c, 0, 6]), "arm64 (Mach-O)"),
            (mach(LITTLE_64, &[0x0100_000c, 0, 1]), "-"),
            (mach([0xce, 0xfa, 0xed, 0xfe], &[7, 3, 2]), "386 (Mach-O)"),
            (mach([0xce, 0xfa, 0xed, 0xfe], &[12, 9, 8]), "arm (Mach-O)"),
            (mach([0xfe, 0xed, 0xfa, 0xce], &[18, 0, 2]), "ppc (Mach-O)"),
            (mach([0xfe, 0xed, 0xfa, 0xcf], &[0x0100_0012, 0, 2]), "ppc64 (Mach-O)"),
            (mach(LITTLE_64, &[99, 0, 2]), "machine 0x00000063 (Mach-O)"),
            (mach(FAT, &[2, 0x0100_0007, 3, 0, 0, 0, 0x0100_000c, 0, 0, 0, 0]), "amd64 and arm64 (Mach-O)"),
            (mach(FAT, &[0x0000_0034, 0, 0, 0]), "-"),
            (mach(FAT, &[0]), "-"),
            (mach(FAT, &[2, 0x0100_0007, 3, 0, 0, 0]), "-"),
        ] {
            assert_eq!(told(&bytes), name, "{bytes:x?}");
        }
    }

    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[test]
    fn this_very_program_is_for_this_machine() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let processor = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        assert_eq!(told(&bytes[..HEAD]), format!("{processor} (ELF)"));
    }

    #[test]
    fn whatever_else_there_is_and_every_beginning_of_a_program_is_none() {
        for other in [&b""[..], b"#!/bin/sh\n", b"MZ", b"\x7fELF", b"\0asm\x01\0\0\0", b"MZ\xff\xff\xff\xff"]
        {
            assert_eq!(machine_of(other), None, "{other:?}");
        }
        let mut far = pe(0x8664, 0, false);
        far[0x3c..0x40].copy_from_slice(&[0xff; 4]);
        assert_eq!(machine_of(&far), None);
        for program in [elf(1, 2, 2, 8, 0x20), pe(0x14c, 0, true), mach([0xcf, 0xfa, 0xed, 0xfe], &[7, 3, 2])]
        {
            for end in 0..program.len() {
                drop(machine_of(&program[..end]));
            }
        }
        assert_eq!(machine_of(&[0x7f, b'E', b'L', b'F', 3, 1, 1, 0]), None);
        assert_eq!(machine_of(&elf(2, 3, 2, 62, 0)), None);
    }
}

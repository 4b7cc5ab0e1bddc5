//! Two system calls that no crate offers safely: the power cut of a file system, and a TUN device. All
//! `unsafe` code of this workspace is in this file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, Updater, ioctl};

/// `_IOR('X', 125, __u32)` of `linux/fs.h`; ext4, XFS and f2fs know it.
const FS_IOC_SHUTDOWN: Opcode = 0x8004_587D;
/// Stop at once: neither data nor journal that is still in memory reaches the device.
const SHUTDOWN_NOLOGFLUSH: u32 = 2;
/// `_IOW('T', 202, int)` of `linux/if_tun.h`.
const TUNSETIFF: Opcode = 0x4004_54CA;
/// A device of layer 3.
const IFF_TUN: i16 = 0x0001;
/// Packets come bare, without four bytes of flags and protocol in front.
const IFF_NO_PI: i16 = 0x1000;

/// The longest name of a network device, with its closing zero.
const DEVICE_NAME_BYTES: usize = 16;

/// `struct ifreq` of `linux/if.h`, as `TUNSETIFF` reads it: 40 bytes on 64-bit Linux.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; DEVICE_NAME_BYTES],
    flags: i16,
    rest: [u8; 22],
}

/// Cuts the power of the file system mounted at `mount`: what was not flushed to its device is gone. Until
/// it is unmounted, everything on it fails with `EIO`.
pub fn cut_power(mount: &Path) -> io::Result<()> {
    let root = File::open(mount)?;
    // SAFETY: this opcode reads a `__u32` through its argument, and that is what the setter points at.
    #[expect(unsafe_code, reason = "an ioctl is never checked by the compiler")]
    unsafe {
        ioctl(&root, Setter::<FS_IOC_SHUTDOWN, u32>::new(SHUTDOWN_NOLOGFLUSH))?;
    }
    Ok(())
}

/// Makes a TUN device called `name` in the calling thread's network namespace. Each read of the file gives
/// one IP packet that was sent into the device, each write delivers one. It is gone when the file is closed.
pub fn open_tun(name: &str) -> io::Result<File> {
    let mut request = InterfaceRequest {
        name: [0; DEVICE_NAME_BYTES],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    if name.is_empty() || name.len() >= DEVICE_NAME_BYTES {
        let message = format!("device name {name:?}: 1 to {} bytes", DEVICE_NAME_BYTES - 1);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: this opcode reads and writes a `struct ifreq` through its argument, and `InterfaceRequest` has
    // its size and layout.
    #[expect(unsafe_code, reason = "an ioctl is never checked by the compiler")]
    unsafe {
        ioctl(&device, Updater::<TUNSETIFF, InterfaceRequest>::new(&mut request))?;
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_size_the_kernel_copies() {
        assert_eq!(size_of::<InterfaceRequest>(), 40);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        for name in ["", "sixteen-letters-"] {
            assert_eq!(open_tun(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}

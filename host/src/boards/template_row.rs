Board {
        name: "template",
        core: "Cortex-M3",
        memory_len: 55_400,
        recorder: None,
        package: "template",
        target: "thumbv7m-none-eabi",
        emulation: qemu(Qemu::arm("mps2-an385")),
        identity_address: 0x2000_FFE0,
        flash: Flash::Unsupported,
    }

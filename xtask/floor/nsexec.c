// nsexec [--sys] NAMESPACE PROGRAM [ARGUMENT…]: joins a network namespace and executes a program, and nothing else.
//
// With --sys also what makes /sys show the namespace: a mount namespace, no propagation back, a new sysfs.

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int sys = argc > 1 && !strcmp(argv[1], "--sys");
    argv += sys, argc -= sys;
    if (argc < 3) return 2;
    int namespace = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) return 1;
    if (sys) {
        if (unshare(CLONE_NEWNS) < 0 || mount("", "/", "none", MS_SLAVE | MS_REC, 0) < 0) return 1;
        umount2("/sys", MNT_DETACH);
        if (mount("nsexec", "/sys", "sysfs", 0, 0) < 0) return 1;
    }
    execvp(argv[2], argv + 2);
    return 127;
}

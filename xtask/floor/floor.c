// The floor: the kernel operations of a container launch, made bare.
//
//   floor [--view v1|v2|hybrid] [--net none|clone|child|parent] [--user] [--seccomp FILE] [--push] [--fork]
//         [--profile] [--loop N] ROOTFS PROGRAM
//
// It parses nothing, keeps no state, follows paths it trusts and protects nothing of its own: what remains is what
// the kernel costs. Its options choose between arrangements with the same result, so that each can be measured.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLOOR
#include "stage.c"
#include "profile.h"

__asm__(".pushsection .data\n.balign 4096\nstage_elf:\n.incbin \"" STAGE "\"\nstage_end:\n.popsection\n");
extern char stage_elf[], stage_end[];

// One slot a hierarchy: two that need care, whatever else is mounted below /sys/fs/cgroup, and the unified one.
enum { CPUSET, DEVICES, OTHERS, UNIFIED = 24, HIERARCHIES };
static char hierarchies[HIERARCHIES][32] = {[UNIFIED] = "unified"};
enum view { V1, V2, HYBRID };
enum net { NET_NONE, NET_CLONE, NET_CHILD, NET_PARENT };

static struct {
    enum view view;
    enum net net;
    int user, fork, push, lo, nodev, profile, loop;
    const char *seccomp, *rootfs, *program;
} o = {.net = NET_CLONE, .loop = 1};

static long ok(long outcome, int line) {
    if (outcome < 0) { fprintf(stderr, "floor.c:%d: %s\n", line, strerror(errno)); exit(125); }
    return outcome;
}
#define OK(x) ok((long)(x), __LINE__)

static int base[HIERARCHIES], dir[HIERARCHIES];

static void put(int at, const char *file, const char *text) {
    int fd = OK(openat(at, file, O_WRONLY | O_CLOEXEC));
    OK(write(fd, text, strlen(text)));
    close(fd);
}

static void make_one(const char *id, int i) {
    if (base[i] < 0) return;
    OK(mkdirat(base[i], id, 0755));
    dir[i] = OK(openat(base[i], id, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// A v1 cpuset takes no process before it has processors and memory nodes.
static void inherit(const char *file) {
    char text[4096];
    int fd = OK(openat(base[CPUSET], file, O_RDONLY | O_CLOEXEC));
    int n = OK(read(fd, text, sizeof text - 1));
    text[n] = 0;
    close(fd);
    put(dir[CPUSET], file, text);
}

// The device rules of the default configuration, as a v1 list.
static void device_list(void) {
    static const char *const allowed[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm", "c 1:5 rwm", "c 1:9 rwm", "c 136:* rwm", "c 5:2 rwm"};
    put(dir[DEVICES], "devices.deny", "a");
    int fd = OK(openat(dir[DEVICES], "devices.allow", O_WRONLY | O_CLOEXEC));
    for (int i = 0; i < 10; i++) OK(write(fd, allowed[i], strlen(allowed[i])));
    close(fd);
}

// The same as a program for v2. Its input: type (2: character device) and access (1: mknod) in one word, major, minor.
static void device_program(void) {
#define I(c, d, s, f, i) {.code = (c), .dst_reg = (d), .src_reg = (s), .off = (f), .imm = (i)}
#define LOAD(reg, at) I(0x61, reg, 1, at, 0)
#define IF_EQUAL(reg, value, skip) I(0x15, reg, 0, skip, value)
#define IF_NOT(reg, value, skip) I(0x55, reg, 0, skip, value)
#define RETURN(value) I(0xb7, 0, 0, 0, value), I(0x95, 0, 0, 0, 0)
    struct bpf_insn prog[] = {
        LOAD(2, 0), LOAD(3, 4), LOAD(4, 8),
        I(0xbf, 5, 2, 0, 0), I(0x77, 5, 0, 0, 16), IF_EQUAL(5, 1, 16), // any mknod
        I(0x57, 2, 0, 0, 0xffff), IF_NOT(2, 2, 12),                     // no other access to block devices
        IF_EQUAL(3, 136, 13), IF_EQUAL(3, 5, 7), IF_NOT(3, 1, 9),
        IF_EQUAL(4, 3, 10), IF_EQUAL(4, 5, 9), IF_EQUAL(4, 7, 8), IF_EQUAL(4, 8, 7), IF_EQUAL(4, 9, 6), I(0x05, 0, 0, 3, 0),
        IF_EQUAL(4, 0, 4), IF_EQUAL(4, 2, 3), I(0x05, 0, 0, 0, 0),
        RETURN(0), RETURN(1)};
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (unsigned long)prog, .insn_cnt = sizeof prog / sizeof *prog, .license = (unsigned long)"GPL"};
    int fd = OK(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
    union bpf_attr attach = {.target_fd = dir[UNIFIED], .attach_bpf_fd = fd, .attach_type = BPF_CGROUP_DEVICE, .attach_flags = BPF_F_ALLOW_MULTI};
    OK(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
    close(fd);
}

static void send_turn(int sock, const int *fds, int count) {
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct { struct cmsghdr h; int fd[32]; } control = {.h = {.cmsg_len = CMSG_LEN(count * 4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(control.fd, fds, count * 4);
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = count ? &control : 0, .msg_controllen = count ? CMSG_SPACE(count * 4) : 0};
    OK(sendmsg(sock, &m, 0));
}

// tmpfs with the v1 hierarchies of this container, detached; filled before it is attached anywhere.
static int cgroup_tree(void) {
    static const char *const options[] = {"mode", "755", 0};
    int tree = made("tmpfs", "tmpfs", NOSUID | NODEV | NOEXEC, options);
    for (int i = 0; i < HIERARCHIES; i++) {
        if (base[i] < 0) continue;
        OK(mkdirat(tree, hierarchies[i], 0755));
        int m = cloned(dir[i], "");
        OK(m);
        OK(move(m, tree, hierarchies[i]));
        close(m);
    }
    set_attrs(tree, RDONLY | NOSUID | NODEV | NOEXEC, 1);
    return tree;
}

static const char *const dev_options[] = {"mode", "755", "size", "65536k", 0};

static void fill_dev(int dev) {
    static const struct { const char *name; int minor; } nodes[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    for (int i = 0; i < 5; i++) MUST(S4(NR_mknodat, dev, nodes[i].name, 0020666, 1 << 8 | nodes[i].minor));
    MUST(S4(NR_mknodat, dev, "tty", 0020666, 5 << 8));
    MUST(S3(NR_symlinkat, "/proc/self/fd", dev, "fd"));
    MUST(S3(NR_symlinkat, "/proc/self/fd/0", dev, "stdin"));
    MUST(S3(NR_symlinkat, "/proc/self/fd/1", dev, "stdout"));
    MUST(S3(NR_symlinkat, "/proc/self/fd/2", dev, "stderr"));
    MUST(S3(NR_symlinkat, "pts/ptmx", dev, "ptmx"));
    MUST(S3(NR_mkdirat, dev, "pts", 0755));
    MUST(S3(NR_mkdirat, dev, "shm", 0755));
    MUST(S3(NR_mkdirat, dev, "mqueue", 0755));
}

// /dev, detached. Device nodes made in a user namespace do not open; made out here they do, and no host device is bound.
// A devpts belongs to the user namespace it is made in, so there the stage makes it.
static int device_tree(void) {
    umask(0);
    int dev = made("tmpfs", "tmpfs", NOSUID | STRICTATIME, dev_options);
    fill_dev(dev);
    if (o.user) {
        static const char *const all[] = {"", "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm", "mqueue"};
        for (int i = 0; i < 15; i++) OK(fchownat(dev, all[i], 100000, 100000, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
    } else {
        int pts = made("devpts", "devpts", NOSUID | NOEXEC, pts_options), shm = made("tmpfs", "shm", NOSUID | NODEV | NOEXEC, shm_options);
        OK(move(pts, dev, "pts"));
        OK(move(shm, dev, "shm"));
        close(pts), close(shm);
    }
    return dev;
}

static char stack[32768] __attribute__((aligned(4096)));
static int stage_fd, map_turn_fd = -1;
static int enter(void *unused) {
    (void)unused;
    if (map_turn_fd >= 0) {
        // An exec before the maps are written would take every capability: uid 0 does not exist there yet.
        char byte;
        syscall(SYS_read, map_turn_fd, &byte, 1);
        syscall(SYS_setresgid, 0, 0, 0);
        syscall(SYS_setresuid, 0, 0, 0);
    }
    static char *argv[] = {"init", 0};
    syscall(SYS_execveat, stage_fd, "", argv, argv + 1, AT_EMPTY_PATH);
    syscall(SYS_exit, 127);
    return 0;
}

static void open_unified(void) {
    for (int i = 0; i < HIERARCHIES; i++) base[i] = -1;
    const char *path = o.view == V2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
    if (o.view != V1) base[UNIFIED] = OK(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static void open_v1(void) {
    char buffer[2048];
    int root = OK(open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    long size = OK(syscall(SYS_getdents64, root, buffer, sizeof buffer)), others = OTHERS;
    for (long at = 0; at < size;) {
        struct { unsigned long inode, offset; unsigned short length; unsigned char type; char name[]; } *entry = (void *)(buffer + at);
        at += entry->length;
        // Symlinks lead to joint hierarchies that are there under their own name.
        if (entry->type != DT_DIR || entry->name[0] == '.' || !strcmp(entry->name, "unified")) continue;
        int i = !strcmp(entry->name, "cpuset") ? CPUSET : !strcmp(entry->name, "devices") ? DEVICES : others++;
        if (i >= UNIFIED) break;
        strncpy(hierarchies[i], entry->name, sizeof hierarchies[i] - 1);
        base[i] = OK(openat(root, entry->name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    close(root);
}

// Directories, limits, and the v1 files through which the child joins.
static int fill_cgroups(const char *id, int *tasks) {
    int n = 0;
    if (o.view != V2) {
        open_v1();
        PMARK("P open v1");
        for (int i = 0; i < UNIFIED; i++) make_one(id, i);
        PMARK("P mkdir v1");
        if (base[CPUSET] >= 0) inherit("cpuset.cpus"), inherit("cpuset.mems");
        if (base[DEVICES] >= 0) device_list();
        PMARK("P limits");
        for (int i = 0; i < UNIFIED; i++)
            if (base[i] >= 0) tasks[n++] = OK(openat(dir[i], "tasks", O_WRONLY | O_CLOEXEC));
        PMARK("P open tasks");
    }
    if (o.view != V1 && !o.nodev) device_program(), PMARK("P device bpf");
    return n;
}

static int launch(void) {
    char id[32];
    snprintf(id, sizeof id, "floor-%d", getpid());
    if (o.profile) profiling = 1, np = 0;
    PMARK("P begin");
    int sock[2], prof[2] = {-1, -1};
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock));
    if (o.profile) OK(pipe2(prof, O_CLOEXEC));
    static struct params q;
    memset(&q, 0, sizeof q);
    q = (struct params){.magic = PARAMS_MAGIC, .turn_fd = sock[1], .rootfs_fd = -1, .seccomp_fd = -1, .profile_fd = prof[1],
        .last_cap = 40, .loopback = o.lo};
    strncpy(q.program, o.program, sizeof q.program - 1);
    if (o.seccomp) q.seccomp_fd = OK(open(o.seccomp, O_RDONLY | O_CLOEXEC));
    open_unified();
    // The child starts as early as it can; what it does not need at once is made while it works.
    int has_v2 = o.view != V1, has_v1 = o.view != V2;
    if (has_v2) make_one(id, UNIFIED);
    unsigned long spaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    if (o.net == NET_CLONE) spaces |= CLONE_NEWNET;
    if (o.net == NET_CHILD) q.unshare_first = CLONE_NEWNET;
    if (o.user) {
        // What is made before the maps are written belongs to nobody: /dev/mqueue, the sysctls of the network.
        spaces = (spaces & ~(CLONE_NEWIPC | CLONE_NEWNET)) | CLONE_NEWUSER;
        q.unshare_first = CLONE_NEWIPC | (o.net == NET_NONE ? 0 : CLONE_NEWNET);
        q.map_turn = o.fork, map_turn_fd = o.fork ? -1 : sock[1];
    }
    q.join_net = o.net == NET_PARENT && !o.user;
    q.cgroup_tree_given = has_v1;
    q.pts_by_parent = !o.user;
    q.root_turn = o.user;
    if (!o.user) q.rootfs_fd = OK(cloned(AT_FDCWD, o.rootfs));
    // These pass through the stage's exec; everything else closes there.
    int passed[] = {q.turn_fd, q.rootfs_fd, q.seccomp_fd, q.profile_fd};
    for (int i = 0; i < 4; i++) if (passed[i] >= 0) fcntl(passed[i], F_SETFD, 0);
    PMARK("P rootfs");
    struct clone_args args = {.flags = spaces | CLONE_PIDFD, .exit_signal = SIGCHLD};
    int pidfd;
    args.pidfd = (unsigned long)&pidfd;
    if (has_v2) args.flags |= CLONE_INTO_CGROUP, args.cgroup = dir[UNIFIED];
    long pid;
    if (o.fork) {
        pid = OK(syscall(SYS_clone3, &args, sizeof args));
        if (!pid) { stage_main(&q); _exit(0); }
    } else {
        // The stage's data segment holds the parameters; the image is patched here and written once.
        unsigned long *at = (unsigned long *)stage_elf;
        while (*at != PARAMS_MAGIC) at += 512;
        memcpy(at, &q, sizeof q);
        stage_fd = OK(memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x10));
        OK(write(stage_fd, stage_elf, stage_end - stage_elf));
        OK(fcntl(stage_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
        PMARK("P memfd");
        args.flags |= CLONE_VM;
        args.stack = (unsigned long)stack, args.stack_size = sizeof stack;
        // clone3 with a stack needs its return in the child handled by hand; one instruction sequence does both.
        register long r10 __asm__("r10") = 0;
        __asm__ volatile("syscall\n test %%eax,%%eax\n jnz 1f\n xor %%edi,%%edi\n call enter_c\n hlt\n1:" : "=a"(pid) : "a"(SYS_clone3), "D"(&args), "S"(sizeof args), "r"(r10) : "rcx", "r11", "memory", "rdx", "r8", "r9");
        if (pid < 0) errno = -pid, OK(-1);
    }
    PMARK("P clone3");
    if (o.push) {
        // A kernel that packs tasks onto one processor would let the child wait until this process sleeps.
        // Its old mask comes back at once: left pinned it would wait while another processor is free.
        unsigned here;
        unsigned long mine[16] = {0}, other[16];
        syscall(SYS_getcpu, &here, 0, 0);
        int size = syscall(SYS_sched_getaffinity, 0, sizeof mine, mine);
        memcpy(other, mine, sizeof mine);
        other[here / 64] &= ~(1ul << here % 64);
        if (size > 0 && syscall(SYS_sched_setaffinity, pid, size, other) == 0) syscall(SYS_sched_setaffinity, pid, size, mine);
        PMARK("P push");
    }
    if (o.user) {
        char proc[64];
        snprintf(proc, sizeof proc, "/proc/%ld", pid);
        int d = OK(open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC));
        put(d, "uid_map", "0 100000 65536");
        put(d, "gid_map", "0 100000 65536");
        PMARK("P maps");
        send_turn(sock[0], 0, 0);
        int userns = OK(openat(d, "ns/user", O_RDONLY | O_CLOEXEC));
        int root = cloned(AT_FDCWD, o.rootfs);
        OK(root);
        unsigned long attr[4] = {0x100000, 0, 0, userns};
        OK(syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, attr, sizeof attr));
        PMARK("P idmapped rootfs");
        send_turn(sock[0], &root, 1);
        close(userns), close(d), close(root);
    }
    int tasks[HIERARCHIES], ntasks = fill_cgroups(id, tasks);
    int fds[HIERARCHIES + 3], n = 0;
    if (q.join_net) {
        OK(unshare(CLONE_NEWNET));
        fds[n++] = OK(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        PMARK("P netns");
    }
    fds[n++] = device_tree();
    PMARK("P dev");
    if (has_v1) fds[n++] = cgroup_tree();
    PMARK("P cgroup tree");
    for (int i = 0; i < ntasks; i++) fds[n++] = tasks[i];
    send_turn(sock[0], fds, n);
    PMARK("P turn");
    for (int i = 0; i < n; i++) close(fds[i]);
    if (q.rootfs_fd >= 0) close(q.rootfs_fd);
    close(sock[1]);
    PMARK("P before wait");
    int status;
    OK(waitpid(pid, &status, __WALL));
    PMARK("P reaped");
    for (int i = 0; i < HIERARCHIES; i++)
        if (base[i] >= 0) close(dir[i]), OK(unlinkat(base[i], id, AT_REMOVEDIR)), close(base[i]);
    PMARK("P rmdir");
    close(sock[0]), close(pidfd);
    if (!o.fork) close(stage_fd);
    if (q.seccomp_fd >= 0) close(q.seccomp_fd);
    PMARK("P closed");
    if (o.profile) {
        close(prof[1]);
        profile_launch(prof[0]);
        close(prof[0]);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
__attribute__((used)) static void enter_c(void) { enter(0); }

int main(int argc, char **argv) {
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        char *a = argv[i] + 2;
#define FLAG(name, field) if (!strcmp(a, name)) { o.field = 1; continue; }
        FLAG("user", user) FLAG("fork", fork) FLAG("profile", profile) FLAG("lo", lo) FLAG("nodev", nodev) FLAG("push", push)
        char *v = argv[++i];
        if (!strcmp(a, "view")) o.view = !strcmp(v, "v1") ? V1 : !strcmp(v, "v2") ? V2 : HYBRID;
        else if (!strcmp(a, "net")) o.net = !strcmp(v, "none") ? NET_NONE : !strcmp(v, "clone") ? NET_CLONE : !strcmp(v, "child") ? NET_CHILD : NET_PARENT;
        else if (!strcmp(a, "seccomp")) o.seccomp = v;
        else if (!strcmp(a, "loop")) o.loop = atoi(v);
        else return 125;
    }
    if (argc - i != 2) return fprintf(stderr, "floor: ROOTFS PROGRAM\n"), 125;
    o.rootfs = argv[i], o.program = argv[i + 1];
    int status = 0;
    for (int n = 0; n < o.loop && !status; n++) { status = launch(); if (o.loop > 1) usleep(500); }
    profile_print();
    return status;
}

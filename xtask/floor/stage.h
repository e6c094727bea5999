// What floor.c tells stage.c.
#define PARAMS_MAGIC 0x726f6f6c666d6c6ful
#define MAX_MARKS 40
#define RDONLY 0x1
#define NOSUID 0x2
#define NODEV 0x4
#define NOEXEC 0x8
#define STRICTATIME 0x20

struct params {
    unsigned long magic;
    int turn_fd, rootfs_fd, seccomp_fd, profile_fd;
    int map_turn, root_turn, cgroup_tree_given, join_net, pts_by_parent, loopback, last_cap;
    unsigned long unshare_first;
    char program[64];
    int marks;
    unsigned long mark_at[MAX_MARKS];
    char mark_name[MAX_MARKS][24];
};

/* Asks libseccomp, for tests/libseccomp.rs.
 *
 *   oracle numbers ARCH  < names      "name number" a line, for names this libseccomp knows
 *   oracle export        < profile    the program, as bytes
 *
 * A profile is: "default CODE", "optimize N", "arch NAME"..., then "rule CODE NAME COUNT [INDEX OP A B]...".
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what, int rc)
{
	fprintf(stderr, "%s: %d\n", what, rc);
	exit(1);
}

static int numbers(const char *arch)
{
	char name[128];
	uint32_t token = seccomp_arch_resolve_name(arch);
	while (scanf("%127s", name) == 1)
		if (seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR)
			printf("%s %d\n", name, seccomp_syscall_resolve_name_arch(token, name));
	return 0;
}

static int export(void)
{
	char word[128];
	uint32_t code;
	int rc, keep_native = 0;
	scmp_filter_ctx ctx = NULL;

	while (scanf("%127s", word) == 1) {
		if (!strcmp(word, "default") && scanf("%u", &code) == 1) {
			ctx = seccomp_init(code);
			if (!ctx)
				fail("init", 0);
		} else if (!strcmp(word, "optimize") && scanf("%u", &code) == 1) {
			rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, code);
			if (rc)
				fail("optimize", rc);
		} else if (!strcmp(word, "arch") && scanf("%127s", word) == 1) {
			uint32_t token = seccomp_arch_resolve_name(word);
			if (token == seccomp_arch_native()) {
				keep_native = 1;
				continue;
			}
			rc = seccomp_arch_add(ctx, token);
			if (rc)
				fail(word, rc);
		} else if (!strcmp(word, "begin")) {
			if (!keep_native && (rc = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE)))
				fail("remove native", rc);
		} else if (!strcmp(word, "rule")) {
			struct scmp_arg_cmp args[6];
			unsigned int count, i;
			if (scanf("%u %127s %u", &code, word, &count) != 3 || count > 6)
				fail("rule", 0);
			for (i = 0; i < count; i++) {
				unsigned int op;
				unsigned long long a, b;
				if (scanf("%u %u %llu %llu", &args[i].arg, &op, &a, &b) != 4)
					fail("condition", 0);
				args[i].op = op;
				args[i].datum_a = a;
				args[i].datum_b = b;
			}
			rc = seccomp_rule_add_array(ctx, code, seccomp_syscall_resolve_name(word), count, args);
			/* The same again with another action: the first stays. */
			if (rc && rc != -EEXIST)
				fail(word, rc);
		} else {
			fail(word, 0);
		}
	}
	rc = seccomp_export_bpf(ctx, STDOUT_FILENO);
	if (rc)
		fail("export", rc);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "numbers"))
		return numbers(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "export"))
		return export();
	return 2;
}

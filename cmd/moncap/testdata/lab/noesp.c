/*
 * What a kernel with ESP would answer, for the daemons of the lab on one that has none: security
 * associations that are added are taken as added. Nothing is encrypted with them; a run of the lab
 * on such a kernel sees IKE, and no ESP. Loaded with LD_PRELOAD.
 *
 * XFRM (libreswan): the messages about associations are answered here, all others reach the kernel.
 * PF_KEY (openiked, RFC 2367): a socket of which the other end is here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/pfkeyv2.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS 1024
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char xfrm[FDS];		     /* descriptors of NETLINK_XFRM */
static struct nlmsghdr pending[FDS]; /* the message to answer, of length 0: none */

/* An answer has the header of its question, and what a kernel adds to it. */
static size_t pfkey_answer(const char *question, size_t n, char *answer)
{
	struct sadb_msg head;
	struct sadb_sa sa = {.sadb_sa_len = sizeof(sa) / 8, .sadb_sa_exttype = SADB_EXT_SA};
	struct sadb_supported none = {.sadb_supported_len = 1, .sadb_supported_exttype = SADB_EXT_SUPPORTED_AUTH};

	memcpy(&head, question, sizeof(head));
	memcpy(answer + sizeof(head), question + sizeof(head), n - sizeof(head));
	switch (head.sadb_msg_type) {
	case SADB_GETSPI:
		if (getrandom(&sa.sadb_sa_spi, sizeof(sa.sadb_sa_spi), 0) < 0)
			abort();
		sa.sadb_sa_spi |= 1; /* 1 to 255 in either order of bytes are reserved */
		((unsigned char *)&sa.sadb_sa_spi)[0] |= 0x40;
		memcpy(answer + n, &sa, sizeof(sa));
		n += sizeof(sa);
		break;
	case SADB_REGISTER:
		memcpy(answer + n, &none, sizeof(none));
		n += sizeof(none);
		break;
	case SADB_GET:
		head.sadb_msg_errno = ESRCH;
		break;
	}
	head.sadb_msg_len = n / 8;
	memcpy(answer, &head, sizeof(head));
	return n;
}

static void *pfkey_serve(void *arg)
{
	int fd = (int)(long)arg;
	char question[16384], answer[sizeof(question) + 64];
	ssize_t n;

	while ((n = recv(fd, question, sizeof(question), 0)) > 0)
		if ((size_t)n >= sizeof(struct sadb_msg))
			send(fd, answer, pfkey_answer(question, n, answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

int socket(int domain, int type, int protocol)
{
	int fd, ends[2];
	pthread_t server;

	if (domain == AF_KEY) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
			return -1;
		if (pthread_create(&server, NULL, pfkey_serve, (void *)(long)ends[1])) {
			errno = EAGAIN;
			return -1;
		}
		return ends[0];
	}
	fd = NEXT(socket)(domain, type, protocol);
	if (fd >= 0 && fd < FDS)
		xfrm[fd] = domain == AF_NETLINK && protocol == NETLINK_XFRM;
	return fd;
}

/* A socket that its policy exempts from encryption is nothing special where nothing is encrypted. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
	if ((level == SOL_IP && name == IP_IPSEC_POLICY) || (level == SOL_IPV6 && name == IPV6_IPSEC_POLICY))
		return 0;
	return NEXT(setsockopt)(fd, level, name, value, n);
}

ssize_t write(int fd, const void *buffer, size_t n)
{
	struct nlmsghdr head;

	if (fd >= 0 && fd < FDS && xfrm[fd] && n >= sizeof(head)) {
		memcpy(&head, buffer, sizeof(head));
		switch (head.nlmsg_type) {
		case XFRM_MSG_NEWSA:
		case XFRM_MSG_UPDSA:
		case XFRM_MSG_DELSA:
		case XFRM_MSG_GETSA:
			pending[fd] = head;
			return n;
		}
	}
	return NEXT(write)(fd, buffer, n);
}

ssize_t recvfrom(int fd, void *restrict buffer, size_t n, int flags, struct sockaddr *restrict from,
		 socklen_t *restrict len)
{
	struct {
		struct nlmsghdr head;
		union {
			struct nlmsgerr error; /* 0: it is done */
			struct xfrm_usersa_info unused;
		} u;
	} answer;

	if (fd < 0 || fd >= FDS || !xfrm[fd] || !pending[fd].nlmsg_len || n < sizeof(answer))
		return NEXT(recvfrom)(fd, buffer, n, flags, from, len);
	memset(&answer, 0, sizeof(answer));
	answer.head = pending[fd];
	answer.head.nlmsg_len = sizeof(answer);
	if (pending[fd].nlmsg_type == XFRM_MSG_GETSA) {
		answer.head.nlmsg_type = XFRM_MSG_NEWSA;
	} else {
		answer.head.nlmsg_type = NLMSG_ERROR;
		answer.u.error.msg = pending[fd];
	}
	pending[fd].nlmsg_len = 0;
	memcpy(buffer, &answer, sizeof(answer));
	if (from && len && *len >= sizeof(struct sockaddr_nl)) {
		*len = sizeof(struct sockaddr_nl);
		memset(from, 0, *len);
		from->sa_family = AF_NETLINK;
	}
	return sizeof(answer);
}

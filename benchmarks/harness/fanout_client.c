/* Many websocket clients in one thread, for the benchmarks: reads what all of them receive in linear time.
 *
 * fanout_client PORT PATH SOCKETS SUBSCRIBE
 *
 * Connects to 127.0.0.1, the first 100 sockets one after another, the others in batches. With a message
 * SUBSCRIBE, not "", each sends it and waits for one message in return, which must contain "success". Then
 * prints a line: the milliseconds that each of the first took, and the seconds of all. For each line with a
 * number on standard input it reads until every socket has received so many events, and prints a line: frames,
 * seconds from the first to the last, and the delays in milliseconds (p50, p90, p99, longest). Events are
 * messages with "number": counting from 0, and "sent":, CLOCK_MONOTONIC in seconds. Others are skipped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 20)
#define ONE_AFTER_ANOTHER 100
#define BATCH 100
#define BUCKETS 100000 /* of a tenth of a millisecond */
#define TIMEOUT 120.0

struct client {
    int fd;
    long received;
    size_t kept;
    char *rest; /* the beginning of a frame that is not complete */
};

static struct client *clients;
static char buffer[BUFFER];
static long sockets, wanted, complete, frames;
static uint64_t delays[BUCKETS + 1];
static double longest, first_at, last_at;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "fanout_client: %s: %s\n", what, errno ? strerror(errno) : "");
    exit(1);
}

static void send_all(int fd, const void *data, size_t length) {
    if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) fail("send");
}

static void send_frame(int fd, int opcode, const char *data, size_t length) {
    unsigned char frame[8 + 4096];
    size_t at = 2;
    if (length > 4096) fail("a message is too long");
    frame[0] = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        frame[1] = (unsigned char)(0x80 | length);
    } else {
        frame[1] = 0x80 | 126, frame[2] = (unsigned char)(length >> 8), frame[3] = (unsigned char)length;
        at = 4;
    }
    memset(frame + at, 0, 4); /* the mask */
    memcpy(frame + at + 4, data, length);
    send_all(fd, frame, at + 4 + length);
}

static void take_message(struct client *client, const char *text, size_t length, double time) {
    const char *number = memmem(text, length, "\"number\":", 9), *sent = memmem(text, length, "\"sent\":", 7);
    if (!number || !sent) return;
    if (strtol(number + 9, NULL, 10) != client->received) fail("an event is missing or repeated");
    client->received++;
    double delay = (time - strtod(sent + 7, NULL)) * 1000;
    if (delay > longest) longest = delay;
    delays[delay * 10 < BUCKETS ? (size_t)(delay * 10) : BUCKETS]++;
    frames++;
    if (!first_at) first_at = time;
    last_at = time;
    if (client->received == wanted) complete++;
}

/* Read once; returns the first message in `reply` if that is given. */
static int receive(struct client *client, char *reply) {
    memcpy(buffer, client->rest, client->kept);
    ssize_t got = recv(client->fd, buffer + client->kept, BUFFER - client->kept, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (got <= 0) fail("the server closed a socket");
    double time = now();
    size_t length = client->kept + (size_t)got, at = 0;
    int messages = 0;
    while (length - at >= 2) {
        unsigned char *frame = (unsigned char *)buffer + at;
        size_t size = frame[1] & 127, head = 2;
        if (size == 126) {
            if (length - at < 4) break;
            size = (size_t)frame[2] << 8 | frame[3], head = 4;
        } else if (size == 127) {
            fail("a frame is too long");
        }
        if (length - at < head + size) break;
        int opcode = frame[0] & 15;
        if (opcode == 8) errno = 0, fail("the server sent a close frame");
        if (opcode == 9) send_frame(client->fd, 10, buffer + at + head, size);
        if (opcode == 1) {
            if (reply && !messages) {
                size_t copied = size < 4095 ? size : 4095;
                memcpy(reply, buffer + at + head, copied), reply[copied] = 0;
            }
            messages++;
            take_message(client, buffer + at + head, size, time);
        }
        at += head + size;
    }
    client->kept = length - at;
    client->rest = realloc(client->rest, client->kept ? client->kept : 1);
    if (!client->rest) fail("realloc");
    memcpy(client->rest, buffer + at, client->kept);
    return messages;
}

static void open_sockets(long begin, long end, int port, const char *path, const char *message) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    char request[1024], reply[4096];
    int yes = 1, length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, port);
    for (long index = begin; index < end; index++) {
        struct client *client = &clients[index];
        client->fd = socket(AF_INET, SOCK_STREAM, 0);
        client->rest = malloc(1);
        if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        send_all(client->fd, request, (size_t)length);
    }
    for (long index = begin; index < end; index++) {
        size_t got = 0;
        do {
            ssize_t one = recv(clients[index].fd, reply + got, 1, 0);
            if (one <= 0 || ++got == sizeof reply) fail("the handshake failed");
        } while (got < 4 || memcmp(reply + got - 4, "\r\n\r\n", 4));
        if (memcmp(reply, "HTTP/1.1 101", 12)) fail("the server refused the handshake");
        if (*message) send_frame(clients[index].fd, 1, message, strlen(message));
    }
    for (long index = begin; *message && index < end; index++) {
        while (!receive(&clients[index], reply)) continue;
        if (!strstr(reply, "success")) errno = 0, fail(reply);
    }
}

static double quantile(double part) {
    uint64_t seen = 0;
    for (size_t index = 0; index <= BUCKETS; index++)
        if ((double)(seen += delays[index]) >= part * (double)frames) return (double)(index + 1) / 10;
    return longest;
}

int main(int count, char **arguments) {
    if (count != 5) return fprintf(stderr, "fanout_client: wrong number of arguments\n"), 2;
    int port = atoi(arguments[1]);
    sockets = atol(arguments[3]);
    clients = calloc((size_t)sockets, sizeof *clients);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    double began = now(), single = 0;
    long begin = 0;
    for (; begin < sockets && begin < ONE_AFTER_ANOTHER; begin++)
        open_sockets(begin, begin + 1, port, arguments[2], arguments[4]);
    single = (now() - began) * 1000 / (double)begin;
    for (; begin < sockets; begin += BATCH)
        open_sockets(begin, begin + BATCH < sockets ? begin + BATCH : sockets, port, arguments[2], arguments[4]);
    printf("%.3f %.3f\n", single, now() - began);
    fflush(stdout);

    int poll = epoll_create1(0);
    for (long index = 0; index < sockets; index++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[index]};
        fcntl(clients[index].fd, F_SETFL, O_NONBLOCK);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[index].fd, &event)) fail("epoll_ctl");
    }
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        wanted = atol(line), complete = frames = 0, longest = first_at = last_at = 0;
        memset(delays, 0, sizeof delays);
        for (long index = 0; index < sockets; index++) clients[index].received = 0;
        printf("reading\n");
        fflush(stdout);
        double deadline = now() + TIMEOUT;
        while (complete < sockets && now() < deadline) {
            struct epoll_event ready[512];
            int found = epoll_wait(poll, ready, 512, 100);
            for (int index = 0; index < found; index++) {
                receive(ready[index].data.ptr, NULL);
            }
        }
        printf("%ld %.6f %.1f %.1f %.1f %.1f\n", frames, last_at - first_at, quantile(0.5), quantile(0.9),
               quantile(0.99), longest);
        fflush(stdout);
    }
    return 0;
}

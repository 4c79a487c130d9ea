// The least that a client can do: one thread, epoll, recv, one stamp per read, the chunked encoding,
// and a search for the blank line that ends each event. The bar to which our client is held.
//
// reader PORT STREAMS TOKENS WARM_TOKENS FLOOD_SECONDS OUT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum place { IN_HEAD, IN_SIZE, IN_DATA, AFTER_DATA, ENDED };

struct stream {
  int fd;
  enum place place;
  int newlines;      // in a row, of the head
  long left;         // bytes of this chunk that are still to come
  int after_newline; // the last byte of data was '\n'
  int events;        // of this wave's request, usage and [DONE] among them
  double start_ms;
  double *times;
};

static char buffer[1 << 18];

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double cpu_ms(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
         (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0) fail("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void event(struct stream *s, int tokens, double at_ms) {
  if (s->events < tokens) s->times[s->events] = at_ms;
  s->events += 1;
}

// Counts the blank lines of a piece of data.
static void scan(struct stream *s, const char *at, const char *end, int tokens, double at_ms) {
  if (s->after_newline && *at == '\n') {
    event(s, tokens, at_ms);
    at += 1;
  }
  s->after_newline = 0;
  while (at < end && (at = memchr(at, '\n', end - at)) != NULL) {
    at += 1;
    if (at == end)
      s->after_newline = 1;
    else if (*at == '\n') {
      event(s, tokens, at_ms);
      at += 1;
    }
  }
}

// Takes what a read brought.
static void take(struct stream *s, const char *at, const char *end, int tokens, double at_ms) {
  while (at < end) {
    switch (s->place) {
    case IN_HEAD:
      if (*at == '\n')
        s->newlines += 1;
      else if (*at != '\r')
        s->newlines = 0;
      at += 1;
      if (s->newlines == 2) s->place = IN_SIZE;
      break;
    case IN_SIZE:
      if (*at == '\n')
        s->place = s->left > 0 ? IN_DATA : ENDED;
      else if (*at != '\r')
        s->left = s->left * 16 + (*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
      at += 1;
      break;
    case IN_DATA: {
      long length = end - at < s->left ? end - at : s->left;
      scan(s, at, at + length, tokens, at_ms);
      at += length;
      s->left -= length;
      if (s->left == 0) s->place = AFTER_DATA;
      break;
    }
    case AFTER_DATA:
      if (*at == '\n') s->place = IN_SIZE;
      at += 1;
      break;
    case ENDED: // the line break after the last chunk
      at += 1;
      break;
    }
  }
}

static void send_request(struct stream *s, const char *name, int index, int tokens) {
  static char body[8192], request[9216];
  int length = sprintf(body, "{\"model\":\"paced\",\"prompt\":\"");
  for (int word = 0; word < 512; word += 1) length += sprintf(body + length, " tok");
  length += sprintf(body + length,
                    "\",\"max_tokens\":%d,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                    "\"request_id\":\"%s-%d\"}",
                    tokens, name, index);
  int size = sprintf(request,
                     "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
                     "content-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                     length, body);
  s->place = IN_HEAD;
  s->newlines = s->left = s->after_newline = s->events = 0;
  s->start_ms = now_ms();
  if (send(s->fd, request, size, MSG_NOSIGNAL) != size) fail("send");
}

// One wave: every stream sends a request; returns when all have ended.
static void wave(int poll, struct stream *streams, int count, const char *name, int tokens) {
  struct epoll_event ready[1024];
  int open = count;
  for (int i = 0; i < count; i += 1) send_request(&streams[i], name, i, tokens);
  while (open > 0) {
    int n = epoll_wait(poll, ready, 1024, -1);
    for (int r = 0; r < n; r += 1) {
      struct stream *s = ready[r].data.ptr;
      ssize_t got = recv(s->fd, buffer, sizeof buffer, 0);
      double at_ms = now_ms();
      if (got <= 0) fail("recv");
      enum place before = s->place;
      take(s, buffer, buffer + got, tokens, at_ms);
      if (s->place == ENDED && before != ENDED) {
        if (s->events != tokens + 2) {
          fprintf(stderr, "%d events in place of %d\n", s->events, tokens + 2);
          exit(1);
        }
        open -= 1;
      }
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "reader PORT STREAMS TOKENS WARM_TOKENS FLOOD_SECONDS OUT\n");
    return 2;
  }
  int port = atoi(argv[1]), count = atoi(argv[2]), tokens = atoi(argv[3]);
  int warm_tokens = atoi(argv[4]);
  double flood_ms = atof(argv[5]) * 1000;
  int poll = epoll_create1(0);
  int room = tokens > warm_tokens ? tokens : warm_tokens;
  struct stream *streams = calloc(count, sizeof *streams);
  for (int i = 0; i < count; i += 1) {
    streams[i].fd = connect_to(port);
    streams[i].times = calloc(room, sizeof(double));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, streams[i].fd, &event) < 0) fail("epoll_ctl");
  }
  if (warm_tokens > 0) wave(poll, streams, count, "warm", warm_tokens);
  double cpu = cpu_ms(), from = now_ms();
  long waves = 0;
  do {
    char name[32];
    sprintf(name, "w%ld", waves);
    wave(poll, streams, count, name, tokens);
    waves += 1;
  } while (now_ms() - from < flood_ms);
  cpu = cpu_ms() - cpu;
  double wall = now_ms() - from;

  FILE *out = fopen(argv[6], "w");
  if (out == NULL) fail("fopen");
  fprintf(out, "{\"cpuMs\":%.3f,\"wallMs\":%.3f,\"events\":%ld,\"requests\":[", cpu, wall,
          waves * count * tokens);
  for (int i = 0; i < count; i += 1)
    fprintf(out, "%s{\"id\":\"w%ld-%d\",\"startAtMs\":%.6f,\"events\":%d}", i == 0 ? "" : ",",
            waves - 1, i, streams[i].start_ms, tokens);
  fprintf(out, "]}\n");
  for (int i = 0; i < count; i += 1) fwrite(streams[i].times, sizeof(double), tokens, out);
  return fclose(out) == 0 ? 0 : 1;
}

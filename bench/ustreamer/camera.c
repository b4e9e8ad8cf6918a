/* A stand-in for a V4L2 camera, loaded into µStreamer (LD_PRELOAD): its device is a file of raw pictures, each
 * padded to whole pages, which it maps as it would a driver's buffers. A picture is there whenever a buffer is
 * free. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 32, PAGE = 4096 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct v4l2_pix_format format;
static unsigned buffers, waiting[MOST], first, held; /* a ring of the buffers that wait for a picture */
static int device = -1;

static unsigned length(void) { return (format.sizeimage + PAGE - 1) / PAGE * PAGE; }

static int fail(int why) {
	errno = why;
	return -1;
}

static int give(struct v4l2_buffer *b) {
	if (b->index >= buffers || held == buffers)
		return fail(EINVAL);
	waiting[(first + held++) % MOST] = b->index;
	return 0;
}

static int take(struct v4l2_buffer *b) {
	struct timespec now;
	if (held == 0)
		return fail(EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &now);
	b->index = waiting[first];
	b->bytesused = format.sizeimage;
	b->length = length();
	b->timestamp.tv_sec = now.tv_sec;
	b->timestamp.tv_usec = now.tv_nsec / 1000;
	first = (first + 1) % MOST;
	held--;
	return 0;
}

static int answer(unsigned long request, void *arg) {
	switch (request) {
	case VIDIOC_QUERYCAP: {
		struct v4l2_capability *c = arg;
		memset(c, 0, sizeof *c);
		strcpy((char *)c->driver, "millrace");
		strcpy((char *)c->card, "pictures in a file");
		c->capabilities = c->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
		return 0;
	}
	case VIDIOC_S_FMT: {
		struct v4l2_format *f = arg;
		if (f->fmt.pix.pixelformat != V4L2_PIX_FMT_YUYV)
			return fail(EINVAL);
		f->fmt.pix.bytesperline = 2 * f->fmt.pix.width;
		f->fmt.pix.sizeimage = f->fmt.pix.bytesperline * f->fmt.pix.height;
		format = f->fmt.pix;
		return 0;
	}
	case VIDIOC_REQBUFS: {
		struct v4l2_requestbuffers *r = arg;
		if (r->memory != V4L2_MEMORY_MMAP)
			return fail(EINVAL);
		if (r->count > 8) /* as many pictures as there are */
			r->count = 8;
		buffers = r->count;
		first = held = 0;
		return 0;
	}
	case VIDIOC_QUERYBUF: {
		struct v4l2_buffer *b = arg;
		b->length = length();
		b->m.offset = b->index * length();
		return 0;
	}
	case VIDIOC_QBUF: return give(arg);
	case VIDIOC_DQBUF: return take(arg);
	case VIDIOC_S_INPUT:
	case VIDIOC_STREAMON:
	case VIDIOC_STREAMOFF: return 0;
	}
	return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
	va_list list;
	void *arg;
	int result;
	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	request &= 0xffffffff; /* it may come as an int */
	if (_IOC_TYPE(request) != 'V')
		return (int)syscall(SYS_ioctl, fd, request, arg);
	pthread_mutex_lock(&mutex);
	device = fd;
	result = answer(request, arg);
	pthread_mutex_unlock(&mutex);
	return result;
}

/* A file can always be read and written; a camera can be read when a picture is there. */
int select(int n, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout) {
	static int (*real)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "select");
	if (device < 0 || n <= device || in == NULL || !FD_ISSET(device, in))
		return real(n, in, out, odd, timeout);
	for (int i = 0; i < 4000; i++) { /* a second */
		struct timespec quarter = {0, 250000};
		int there;
		pthread_mutex_lock(&mutex);
		there = held > 0;
		pthread_mutex_unlock(&mutex);
		nanosleep(&quarter, NULL); /* nor does it spin where it is asked for more than it has */
		if (there) {
			if (out != NULL)
				FD_ZERO(out);
			if (odd != NULL)
				FD_ZERO(odd);
			return 1;
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define NR_PIC_PINS 16u

static struct fake_kvm *to_fake(struct kvm *kvm)
{
	return container_of(kvm, struct fake_kvm, kvm);
}

void fake_kvm_init(struct fake_kvm *f)
{
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	for (unsigned int i = 0; i < FAKE_KVM_NR_GSIS; i++)
		f->bound_fd[i] = -1;
}

static void trace(struct fake_kvm *f, char call)
{
	if (f->trace_len < sizeof(f->trace) - 1)
		f->trace[f->trace_len++] = call;
}

/* What a new table says, before it is taken or refused. */
struct candidate {
	bool routed[FAKE_KVM_NR_GSIS];
	struct msi_message route[FAKE_KVM_NR_GSIS];
	unsigned int nr_pins, nr_msis;
	bool poisoned, odd;
};

static void read_table(struct candidate *c, const struct kvm_irq_routing *table)
{
	for (uint32_t i = 0; i < table->nr; i++) {
		const struct kvm_irq_routing_entry *e = &table->entries[i];

		if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
			c->nr_pins++;
			continue;
		}
		if (e->type != KVM_IRQ_ROUTING_MSI || e->gsi < LAYOUT_GSI_MSI_FIRST ||
		    e->gsi >= FAKE_KVM_NR_GSIS || c->routed[e->gsi]) {
			c->odd = true;
			continue;
		}
		c->routed[e->gsi] = true;
		c->route[e->gsi] = (struct msi_message){
			.address_lo = e->u.msi.address_lo,
			.address_hi = e->u.msi.address_hi,
			.data = e->u.msi.data,
		};
		c->poisoned |= e->u.msi.data == FAKE_KVM_POISON;
		c->nr_msis++;
	}
}

static int take_table(struct fake_kvm *f, const struct candidate *c)
{
	f->nr_violations += c->odd;
	f->nr_violations += c->nr_pins != LAYOUT_NR_IOAPIC_PINS + NR_PIC_PINS;
	if (f->routing_result)
		return f->routing_result;
	if (c->poisoned || c->nr_pins + c->nr_msis > FAKE_KVM_MAX_ROUTES)
		return -EINVAL;
	for (unsigned int gsi = LAYOUT_GSI_MSI_FIRST; gsi < FAKE_KVM_NR_GSIS; gsi++)
		f->nr_violations += f->bound_fd[gsi] >= 0 && !c->routed[gsi];
	memcpy(f->routed, c->routed, sizeof(f->routed));
	memcpy(f->route, c->route, sizeof(f->route));
	f->nr_routed = c->nr_msis;
	return 0;
}

int kvm_set_routing(struct kvm *kvm, struct kvm_irq_routing *table)
{
	struct fake_kvm *f = to_fake(kvm);
	struct candidate *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	if (f->on_routing)
		f->on_routing(f->on_routing_arg);
	pthread_mutex_lock(&f->lock);
	f->nr_routings++;
	trace(f, 'R');
	read_table(c, table);
	ret = take_table(f, c);
	pthread_mutex_unlock(&f->lock);
	free(c);
	return ret;
}

int kvm_irqfd_bind(struct kvm *kvm, int fd, uint32_t gsi)
{
	struct fake_kvm *f = to_fake(kvm);
	int ret = 0;

	if (gsi < LAYOUT_GSI_MSI_FIRST)
		return 0;		/* a pin */
	pthread_mutex_lock(&f->lock);
	trace(f, 'B');
	if (f->bind_result && f->nr_binds >= f->bind_fails_after)
		ret = f->bind_result;
	if (!ret) {
		f->nr_violations += !f->routed[gsi] || f->bound_fd[gsi] >= 0;
		f->bound_fd[gsi] = fd;
		f->nr_binds++;
		f->nr_bound++;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

int kvm_irqfd_unbind(struct kvm *kvm, int fd, uint32_t gsi)
{
	struct fake_kvm *f = to_fake(kvm);

	pthread_mutex_lock(&f->lock);
	trace(f, 'U');
	f->nr_violations += gsi >= FAKE_KVM_NR_GSIS || f->bound_fd[gsi] != fd || !f->routed[gsi];
	f->bound_fd[gsi] = -1;
	f->nr_unbinds++;
	f->nr_bound--;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

const struct msi_message *fake_kvm_route_of(struct fake_kvm *f, int fd)
{
	for (unsigned int gsi = LAYOUT_GSI_MSI_FIRST; gsi < FAKE_KVM_NR_GSIS; gsi++)
		if (f->bound_fd[gsi] == fd)
			return f->routed[gsi] ? &f->route[gsi] : NULL;
	return NULL;
}

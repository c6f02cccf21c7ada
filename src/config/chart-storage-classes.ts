// StorageClasses that the chart makes: a name, where the Secrets are, and the parameters that the driver knows.
import { z } from 'zod';
import { kubernetesMap, spelled } from './chart-components.ts';
import { parameterSchema } from './storage-class.ts';

const secret = (what: string): z.ZodType =>
  z
    .strictObject({
      name: z.string().min(1).meta({ description: 'Its name, or a template of the provisioner.' }),
      namespace: z.string().min(1).meta({ description: 'Its namespace, or a template of the provisioner.' }),
    })
    .meta({ description: what });

export const storageClasses = z
  .array(
    z.strictObject({
      name: spelled('a name in lower case', /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/),
      isDefault: z.boolean().optional().meta({ description: 'The class of claims that name none.' }),
      annotations: kubernetesMap.optional(),
      provisionerSecret: secret(
        'The Secret with connection and public key, for making, growing and deleting.',
      ).optional(),
      nodeSecret: secret('The Secret with connection, key and passphrase, for mounting.').optional(),
      parameters: z
        .strictObject(parameterSchema.shape)
        .optional()
        .meta({ description: 'As docs/KUBERNETES.md lists them; every value is a string.' }),
      reclaimPolicy: z.enum(['Delete', 'Retain']).optional(),
      volumeBindingMode: z.enum(['Immediate', 'WaitForFirstConsumer']).optional(),
      allowVolumeExpansion: z.boolean().optional(),
      mountOptions: z.array(z.string().min(1)).optional(),
    }),
  )
  .meta({ description: 'StorageClasses to make.' });

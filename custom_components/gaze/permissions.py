"""Checks what a user may do with a server, by the permissions for its entities."""

from homeassistant.auth.permissions.const import POLICY_CONTROL, POLICY_READ
from homeassistant.components.button import DOMAIN as BUTTON_DOMAIN
from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN
from .ids import unique_id

# Platform and key of the entity whose permission grants a policy.
_ENTITIES = {
    POLICY_CONTROL: (BUTTON_DOMAIN, "generate"),
    POLICY_READ: (IMAGE_DOMAIN, "latest_image"),
}


async def async_has_permission(
    hass: HomeAssistant, context: Context, entry_id: str, policy: str
) -> bool:
    """Return whether the user of a context may control or read a server.

    To control a server is to press its button *Generate*, and to read it is to see its latest
    image. Automations have no user and may do both. A script has the user who runs it. Raises
    UnknownUser.
    """
    if context.user_id is None:
        return True
    if (user := await hass.auth.async_get_user(context.user_id)) is None:
        raise UnknownUser(context=context, permission=policy, user_id=context.user_id)
    if user.is_admin:
        return True
    entity_id = permission_entity_id(hass, entry_id, policy)
    return entity_id is not None and user.permissions.check_entity(entity_id, policy)


async def async_require_permission(
    hass: HomeAssistant, context: Context, entry_id: str, policy: str
) -> None:
    """Raise Unauthorized if the user of a context may not control or read a server."""
    if not await async_has_permission(hass, context, entry_id, policy):
        raise Unauthorized(
            context=context,
            user_id=context.user_id,
            entity_id=permission_entity_id(hass, entry_id, policy),
            config_entry_id=entry_id,
            permission=policy,
        )


async def async_is_trusted(hass: HomeAssistant, context: Context) -> bool:
    """Return whether a context is that of an administrator or of an automation."""
    if context.user_id is None:
        return True
    user = await hass.auth.async_get_user(context.user_id)
    return user is not None and user.is_admin


def permission_entity_id(hass: HomeAssistant, entry_id: str, policy: str) -> str | None:
    """Return the entity that stands for the right to control or to read a server."""
    platform, key = _ENTITIES[policy]
    return er.async_get(hass).async_get_entity_id(platform, DOMAIN, unique_id(entry_id, key))
